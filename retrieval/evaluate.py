"""Queries, judgements and runs: BEIR and SQuAD in, TREC runs and ranking metrics out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from retrieval.types import Hit, RetrievalError

TAG = "orbweaver"


def read_queries(path: Path) -> dict[str, str]:
    """Text by query id, of a BEIR `queries.jsonl`; raises RetrievalError naming a bad line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise RetrievalError(f"{path}: {error.strerror}") from error
    return dict(_query(path, n, line) for n, line in enumerate(lines, start=1) if line.strip())


def write_run(path: Path, found: Mapping[str, Sequence[Hit]]) -> None:
    """A TREC run: query, Q0, passage, rank, score, tag."""
    with open(path, "w", encoding="utf-8") as file:
        for query_id, hits in found.items():
            for rank, hit in enumerate(hits, start=1):
                file.write(f"{query_id} Q0 {hit.passage_id} {rank} {hit.score:.6f} {TAG}\n")


def _query(path: Path, number: int, line: str) -> tuple[str, str]:
    try:
        query = json.loads(line)
        return str(query["_id"]), str(query["text"])
    except (ValueError, KeyError, TypeError) as error:
        raise RetrievalError(f"{path}:{number}: no query with _id and text: {error}") from error
