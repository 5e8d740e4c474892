"""What was retrieved for each stride, in the file format of the In-Context RALM scripts.

A JSON array of objects with begin_location, end_location, future, query and retrieved_docs, each
with text, score and perhaps a title. Ours always has the title apart, so that a text may have any
number of lines, and the passage's id.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.strides import Stride
from retrieval.records import titled
from retrieval.storage.durable import rename


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage retrieved for a stride; the id is None where the file does not say."""

    passage_id: str | None
    title: str
    text: str
    score: float

    @property
    def read(self) -> str:
        """What the model reads: the title, if any, on a line before the words."""
        return titled(self.title, self.text)


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What was found for the tokens begin..end, best first."""

    begin: int
    end: int
    future: str  # the text of these tokens, to look at
    query: str
    candidates: tuple[Candidate, ...]


def write_retrieval(path: Path, found: Iterable[Retrieved]) -> None:
    """Write the file, a stride a line, complete or not at all."""
    partial = path.with_name(f".{path.name}.new")
    with open(partial, "w", encoding="utf-8") as file:
        file.write("[")
        for number, stride in enumerate(found):
            file.write(",\n" if number else "\n")
            file.write(json.dumps(_to_json(stride), ensure_ascii=False))
        file.write("\n]\n")
        file.flush()
        os.fsync(file.fileno())
    rename(partial, path)


def read_retrieval(path: Path, strides: Sequence[Stride]) -> list[Retrieved]:
    """What the file has for each of these strides.

    Raises ExperimentError where it was made for other strides or a passage has no text.
    """
    try:
        records = json.loads(path.read_text("utf-8"))
        found = [_from_json(record) for record in records]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExperimentError(
            f"{path}: not a retrieval file ({type(error).__name__}: {error})"
        ) from None
    _check(path, found, strides)
    return found


def _check(path: Path, found: Sequence[Retrieved], strides: Sequence[Stride]) -> None:
    for number, (record, stride) in enumerate(zip(found, strides, strict=False)):
        if (record.begin, record.end) != (stride.begin, stride.end):
            raise ExperimentError(
                f"{path}: record {number} is for tokens {record.begin}..{record.end} where this "
                f"run scores {stride.begin}..{stride.end}; was it made with another tokenizer, "
                "stride, window or layout?"
            )
        for place, candidate in enumerate(record.candidates):
            if not candidate.text.strip():
                raise ExperimentError(f"{path}: record {number}: passage {place} has no text")
    if len(found) != len(strides):
        raise ExperimentError(
            f"{path}: has {len(found)} records for {len(strides)} strides; is it of another text?"
        )


def _to_json(stride: Retrieved) -> dict[str, Any]:
    return {
        "begin_location": stride.begin,
        "end_location": stride.end,
        "future": stride.future,
        "query": stride.query,
        "retrieved_docs": [
            {"id": each.passage_id, "title": each.title, "text": each.text, "score": each.score}
            for each in stride.candidates
        ],
    }


def _from_json(record: dict[str, Any]) -> Retrieved:
    candidates = tuple(
        Candidate(each.get("id"), each.get("title") or "", each["text"], float(each["score"]))
        for each in record["retrieved_docs"]
    )
    return Retrieved(
        int(record["begin_location"]),
        int(record["end_location"]),
        str(record.get("future", "")),
        str(record.get("query", "")),
        candidates,
    )
