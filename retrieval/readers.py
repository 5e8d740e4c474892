"""What searches one generation of an index: in this process, or elsewhere (retrieval/cluster)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval.dense import DenseSearcher, Part
from retrieval.ingest.writer import DENSE, LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.records import Scored, Segment
from retrieval.storage.segments import Vectors


class Lexical(Protocol):
    """Searches one generation by its words, as Bm25Searcher does."""

    def search_many(
        self, questions: Sequence[str], k: int, documents: Collection[str] | None
    ) -> list[list[Scored]]: ...

    def close(self) -> None: ...


class Dense(Protocol):
    """Searches one generation by its vectors, as DenseSearcher does."""

    parts: dict[Segment, Part]

    def search(
        self, queries: Vectors, k: int, rows: Sequence[int] | None
    ) -> list[list[tuple[int, float]]]: ...


class Readers(Protocol):
    """Opens what searches a generation, in this process or in others."""

    def lexical(self, generation: int) -> Lexical: ...

    def dense(self, segments: Sequence[Segment], loaded: Mapping[Segment, Part]) -> Dense: ...


@dataclass(frozen=True, slots=True)
class ReadersHere:
    """Opens the files of the index in this process."""

    path: Path

    def lexical(self, generation: int) -> Lexical:
        return Bm25Searcher(self.path / LUCENE, generation)

    def dense(self, segments: Sequence[Segment], loaded: Mapping[Segment, Part]) -> Dense:
        return DenseSearcher(self.path / DENSE, segments, loaded)
