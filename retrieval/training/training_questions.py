"""Question files -> training pairs with hard negatives: DPR's JSON, SQuAD's JSON, BEIR folders."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from retrieval.evaluation.answer_match import answer_rank
from retrieval.evaluation.squad import read_squad
from retrieval.evaluation.tasks import read_qrels, read_queries
from retrieval.records import Scored
from retrieval.storage.store import Store
from retrieval.types import RetrievalError

NEGATIVES = 4  # kept for each question; every epoch draws one of them
DEPTH = 30  # hits that are looked through for them

Search = Callable[[str, int], list[Scored]]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Text:
    """A passage by its words, wherever it comes from."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, the passages that answer it, and what is known of those that do not.

    `right_ids` are passages of the index; `answers` are strings that a wrong passage must not hold.
    """

    question: str
    positives: tuple[Text, ...]
    right_ids: tuple[str, ...]
    answers: tuple[str, ...]
    negatives: tuple[Text, ...]


def read_asked(path: Path, store: Store, split: str = "train") -> list[Asked]:
    """The questions of a DPR or SQuAD JSON file, or of a BEIR folder's `qrels/SPLIT.tsv`.

    A BEIR folder's passages are taken from the index. Raises RetrievalError naming what is wrong.
    """
    if path.is_dir():
        return list(_beir(path, store, split))
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise RetrievalError(f"{path}: {error}") from error
    return list(_dpr(path, found)) if isinstance(found, list) else list(_squad(path))


def with_negatives(asked: Asked, search: Search, store: Store) -> Asked:
    """The question with BM25's best wrong passages, unless it came with negatives."""
    if asked.negatives:
        return asked
    ids = [hit.passage_id for hit in search(asked.question, DEPTH)]
    passages = store.passages([id for id in ids if id not in asked.right_ids])
    right = {positive.text for positive in asked.positives}
    found = (passages[id] for id in ids if id in passages)
    wrong = [
        Text(passage.title, passage.text)
        for passage in found
        if passage.text not in right and answer_rank([passage.text], asked.answers) is None
    ]
    return Asked(asked.question, asked.positives, (), (), tuple(wrong[:NEGATIVES]))


def to_line(asked: Asked) -> str:
    """One line of JSON for a question that is ready to be trained on."""
    fields = asdict(asked)
    return (
        json.dumps({name: fields[name] for name in ("question", "positives", "negatives")}) + "\n"
    )


def from_line(line: str) -> Asked:
    """What `to_line` wrote."""
    fields = json.loads(line)
    positives, negatives = (
        tuple(Text(**text) for text in fields[name]) for name in ("positives", "negatives")
    )
    return Asked(fields["question"], positives, (), (), negatives)


def _squad(path: Path) -> Iterator[Asked]:
    for question in read_squad(path):
        if question.answers:
            passage = Text(question.title.replace("_", " "), question.context)
            answers = tuple(answer.text for answer in question.answers)
            yield Asked(question.text, (passage,), (), answers, ())


def _dpr(path: Path, entries: list[Any]) -> Iterator[Asked]:
    for number, entry in enumerate(entries):
        try:
            positives = tuple(_text(context) for context in entry["positive_ctxs"])
            hard = entry.get("hard_negative_ctxs") or []
            answers = tuple(str(answer) for answer in entry.get("answers", []))
            negatives = tuple(_text(context) for context in hard[:NEGATIVES])
            question = str(entry["question"])
        except (KeyError, TypeError, AttributeError) as error:
            raise RetrievalError(
                f"{path}: entry {number} is not DPR's question, positive_ctxs, ...: {error!r}"
            ) from error
        if positives:  # DPR's own files have questions for which none was found
            yield Asked(question, positives, (), answers, negatives)


def _text(context: Mapping[str, Any]) -> Text:
    return Text(str(context.get("title") or ""), str(context["text"]))


def _beir(folder: Path, store: Store, split: str) -> Iterator[Asked]:
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
    for query_id, question in read_queries(folder / "queries.jsonl").items():
        ids = tuple(id for id, grade in qrels.get(query_id, {}).items() if grade > 0)
        stored = store.passages(ids)
        positives = tuple(Text(stored[id].title, stored[id].text) for id in ids if id in stored)
        if positives:
            yield Asked(question, positives, ids, (), ())
