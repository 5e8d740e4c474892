"""Questions with known answers: SQuAD 1.1 and 2.0, DPR JSON, NQ-open and plain JSONL."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.experiments.errors import ExperimentError


@dataclass(frozen=True, slots=True)
class Text:
    """Words to put before a question."""

    title: str
    text: str
    passage_id: str | None = None
    score: float = 0.0


@dataclass(frozen=True, slots=True)
class QaItem:
    """One question; without answers it cannot be answered from its documents."""

    id: str
    question: str
    answers: tuple[str, ...]
    gold: Text | None = None  # the passage it was asked of
    document: Text | None = None  # the whole document that the passage is from
    retrieved: tuple[Text, ...] | None = None  # best first, where the file says


def read_qa(path: Path) -> list[QaItem]:
    """All questions of a file, in its order; raises ExperimentError naming what is off.

    A JSON object is SQuAD's, a JSON array DPR's (`positive_ctxs`, `ctxs`), JSON lines are NQ-open's
    or plain: `question` with `answers` or `answer`, perhaps `id`, `title` and `context`. Only
    `is_impossible` lets a question be without answers.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read ({error})") from None
    items = list(_lines(path, text) if path.suffix == ".jsonl" else _whole(path, text))
    if not items:
        raise ExperimentError(f"{path}: holds no questions")
    ids = set()
    for item in items:
        if item.id in ids:
            raise ExperimentError(f"{path}: question {item.id} is there twice")
        ids.add(item.id)
    return items


def _whole(path: Path, text: str) -> Iterator[QaItem]:
    """Of a file that is one JSON value."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ExperimentError(f"{path}: is not JSON ({error}); JSON lines end in .jsonl") from None
    if isinstance(found, list):
        for number, record in enumerate(found):
            with _naming(path, f"question {number}"):
                yield _record(record, str(number))
    elif isinstance(found, dict) and isinstance(found.get("data"), list):
        for number, article in enumerate(found["data"]):
            with _naming(path, f"article {number}"):
                yield from _article(article)
    else:
        raise ExperimentError(f"{path}: neither SQuAD's object with data nor a list of questions")


def _lines(path: Path, text: str) -> Iterator[QaItem]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            with _naming(path, f"line {number}"):
                yield _record(json.loads(line), str(number))


class _naming:
    """Turns what goes wrong with one record into an error that names it."""

    def __init__(self, path: Path, place: str) -> None:
        self._where = f"{path}: {place}"

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, KeyError):
            raise ExperimentError(f"{self._where} has no field {error}") from None
        if isinstance(error, (ValueError, TypeError, AttributeError)):
            raise ExperimentError(f"{self._where}: {error}") from None


def _article(article: Mapping[str, Any]) -> Iterator[QaItem]:
    """SQuAD: an article's paragraphs, each with its questions; the article is the document."""
    title = str(article.get("title", "")).replace("_", " ")
    contexts = [paragraph["context"] for paragraph in article["paragraphs"]]
    document = Text(title, "\n".join(contexts))
    for paragraph in article["paragraphs"]:
        gold = Text(title, paragraph["context"])
        for asked in paragraph["qas"]:
            id, question = str(asked["id"]), _question(asked)
            answers = tuple(dict.fromkeys(str(answer["text"]) for answer in asked["answers"]))
            _check_answers(id, answers, asked)
            yield QaItem(id, question, answers, gold, document)


def _record(record: Mapping[str, Any], number: str) -> QaItem:
    """One question of DPR's or of JSON lines."""
    id, question = str(record.get("id", number)), _question(record)
    answers = record["answer"] if "answer" in record else record["answers"]
    answers = [answers] if isinstance(answers, str) else answers
    answers = tuple(str(answer) for answer in answers)
    _check_answers(id, answers, record)
    gold = None
    if record.get("positive_ctxs"):
        gold = _text(record["positive_ctxs"][0])
    elif "context" in record:
        gold = Text(str(record.get("title") or ""), str(record["context"]))
    retrieved = tuple(map(_text, record["ctxs"])) if "ctxs" in record else None
    return QaItem(id, question, answers, gold, None, retrieved)


def _question(record: Mapping[str, Any]) -> str:
    question = str(record["question"]).strip()
    if not question:
        raise ValueError("its question is empty")
    return question


def _check_answers(id: str, answers: tuple[str, ...], record: Mapping[str, Any]) -> None:
    if not any(answer.strip() for answer in answers) and not record.get("is_impossible"):
        raise ValueError(
            f"question {id} has no answers; one that cannot be answered says is_impossible"
        )


def _text(context: Mapping[str, Any]) -> Text:
    """One of DPR's passages."""
    id = context.get("id", context.get("passage_id"))
    title, text = str(context.get("title") or ""), str(context["text"])
    return Text(title, text, None if id is None else str(id), float(context.get("score") or 0.0))
