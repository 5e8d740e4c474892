"""Rankings as files: TREC runs, and results in DPR's format."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from retrieval.evaluation.answer_match import answer_rank
from retrieval.records import Scored
from retrieval.types import Passage, RetrievalError

TAG = "orbweaver"
_BLANK = re.compile(r"\s")


def write_run(
    path: Path, found: Iterable[tuple[str, Sequence[Any]]], tag: str = TAG
) -> dict[str, list[str]]:
    """A TREC run: query, Q0, passage, rank, score, tag. Returns each query's passages in order.

    `found` are hits (anything with `passage_id` and `score`) by query. Raises RetrievalError for an
    id that holds white space, which the format cannot carry.
    """
    ranked: dict[str, list[str]] = {}
    with open(path, "w", encoding="utf-8") as file:
        for query_id, hits in found:
            ranked[query_id] = [hit.passage_id for hit in hits]
            for id in (query_id, *ranked[query_id]):
                if _BLANK.search(id):
                    raise RetrievalError(f"{path}: the id '{id}' holds white space: no TREC run")
            for rank, hit in enumerate(hits, start=1):
                file.write(f"{query_id} Q0 {hit.passage_id} {rank} {hit.score:.6f} {tag}\n")
    return ranked


def read_run(path: Path) -> dict[str, list[Scored]]:
    """The hits of each query of a TREC run, by rank; raises RetrievalError naming a bad line."""
    ranked: dict[str, list[tuple[int, Scored]]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RetrievalError(f"{path}: {error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            query_id, _, passage_id, rank, score, _ = line.split()
            hit = int(rank), Scored(passage_id, float(score))
        except ValueError as error:
            raise RetrievalError(f"{path}:{number}: no line of a TREC run: {line!r}") from error
        ranked.setdefault(query_id, []).append(hit)
    by_rank = {id: sorted(hits, key=lambda hit: hit[0]) for id, hits in ranked.items()}
    return {id: [hit for _, hit in hits] for id, hits in by_rank.items()}


def write_dpr(
    path: Path,
    items: Iterable[tuple[str, str, Sequence[str], Sequence[tuple[Passage, float]]]],
) -> None:
    """DPR's results: of each question its answers and passages with text, score and `has_answer`.

    `items` are query id, question, answers, and passages with scores; written one at a time.
    """
    with open(path, "w", encoding="utf-8") as file:
        file.write("[")
        for number, item in enumerate(items):
            file.write(",\n" if number else "\n")
            json.dump(_dpr_item(*item), file, ensure_ascii=False)
        file.write("\n]\n")


def _dpr_item(
    query_id: str, question: str, answers: Sequence[str], found: Sequence[tuple[Passage, float]]
) -> dict[str, Any]:
    contexts = [
        {
            "id": passage.id,
            "title": passage.title,
            "text": passage.text,
            "score": score,
            "has_answer": answer_rank([passage.text], answers) is not None,
        }
        for passage, score in found
    ]
    return {"id": query_id, "question": question, "answers": list(answers), "ctxs": contexts}
