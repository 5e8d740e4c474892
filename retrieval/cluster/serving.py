"""One index searched by several processes, on one machine or many, with the hits of one.

Dense segments are dealt out: each process looks through its own, and their candidates are cut as if
they had come from one. BM25's scores rest on counts over the whole index, so each process opens all
of Lucene, and questions are dealt out instead. The folder lies under the same path everywhere.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from retrieval.cluster.connection import ClusterError
from retrieval.cluster.workers import plain
from retrieval.dense import Candidates, DenseSearcher, Part, best
from retrieval.encoders.encoder import Encoder
from retrieval.index import Index
from retrieval.ingest.writer import DENSE, LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.readers import Dense, Lexical
from retrieval.records import Scored, Segment
from retrieval.storage.segments import Vectors
from retrieval.types import IndexDamaged

PATIENCE = 120.0  # seconds for an answer, and for processes to start
RETRIES = 3  # of a question whose process died; it is started again
KEPT = 2  # generations a process has open: the newest, and one that searches may still be reading


@contextmanager
def served(ray: Any, path: Path, processes: int, encoder: Encoder | None = None) -> Iterator[Index]:
    """The index in `path`, searched by so many processes of the cluster `ray` is connected to."""
    readers = RayReaders(ray, path.absolute(), processes)
    try:
        index = Index.open(path, encoder, readers)
        try:
            yield index
        finally:
            index.close()
    finally:
        readers.close()


class Reader:
    """Runs in a process of its own: Lucene whole, and a share of the dense segments."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lexical: dict[int, Bm25Searcher] = {}  # by generation, oldest first
        self._segments: Sequence[Segment] = ()
        self._dense = DenseSearcher(path / DENSE, (), {})

    def open(self, generation: int) -> None:
        """Hold a generation open, though a writer should delete it; raises IndexDamaged."""
        if generation not in self._lexical:
            self._lexical[generation] = Bm25Searcher(self._path / LUCENE, generation)
        while len(self._lexical) > KEPT:
            self._lexical.pop(min(self._lexical)).close()

    def lexical(
        self,
        generation: int,
        questions: Sequence[str],
        k: int,
        documents: Collection[str] | None,
    ) -> list[list[Scored]]:
        """BM25 hits of each question; raises FileNotFoundError if the generation is no more."""
        try:
            self.open(generation)
        except IndexDamaged as error:  # this process began after a writer had deleted it
            raise FileNotFoundError(f"{self._path / LUCENE}: generation {generation}") from error
        return self._lexical[generation].search_many(questions, k, documents)

    def candidates(
        self, segments: Sequence[Segment], queries: Vectors, k: int, rows: Sequence[int] | None
    ) -> list[Candidates]:
        """Each query's candidates among `segments`, numbered as they come."""
        if segments != self._segments:
            self._dense = DenseSearcher(self._path / DENSE, segments, self._dense.parts)
            self._segments = segments
        return self._dense.candidates(queries, k, rows)


class RayReaders:
    """Readers as actors, spread over the machines."""

    def __init__(self, ray: Any, path: Path, count: int) -> None:
        self._ray = ray
        actor = ray.remote(
            num_cpus=1,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
        self.actors = [actor(Reader).remote(path) for _ in range(count)]

    def lexical(self, generation: int) -> Lexical:
        """Searches by words, once every process has opened the generation."""
        self.gathered([actor.open.remote(generation) for actor in self.actors])
        return _Lexical(self, generation)

    def dense(self, segments: Sequence[Segment], loaded: Mapping[Segment, Part]) -> Dense:
        """Searches by vectors, which none but the processes read."""
        return _Dense(self, segments)

    def gathered(self, references: Sequence[Any]) -> list[Any]:
        """What the processes answered; raises what they raised, or ClusterError."""
        errors = self._ray.exceptions
        try:
            return list(self._ray.get(references, timeout=PATIENCE))
        except errors.RayTaskError as error:
            raise plain(error) from error
        except (errors.RayActorError, errors.GetTimeoutError) as error:
            raise ClusterError(
                f"{len(self.actors)} processes do not answer: has the cluster as many free CPUs,"
                f" and all machines the index? {error}"
            ) from error

    def close(self) -> None:
        """End the processes."""
        if self._ray.is_initialized():  # else they have ended, and asking would end this process
            for actor in self.actors:
                self._ray.kill(actor)


class _Lexical:
    """One generation's BM25: question i is answered by process i modulo their number."""

    def __init__(self, readers: RayReaders, generation: int) -> None:
        self._readers = readers
        self._generation = generation

    def search_many(
        self, questions: Sequence[str], k: int, documents: Collection[str] | None
    ) -> list[list[Scored]]:
        actors = self._readers.actors[: len(questions)]
        found = self._readers.gathered(
            [
                actor.lexical.remote(self._generation, questions[i :: len(actors)], k, documents)
                for i, actor in enumerate(actors)
            ]
        )
        return [found[i % len(actors)][i // len(actors)] for i in range(len(questions))]

    def close(self) -> None:
        """Processes close generations themselves, when newer ones are opened."""


class _Dense:
    """One generation's vectors: segment i is looked through by process i modulo their number."""

    def __init__(self, readers: RayReaders, segments: Sequence[Segment]) -> None:
        self.parts: dict[Segment, Part] = {}  # none is in this process
        self._readers = readers
        self._segments = segments

    def search(
        self, queries: Vectors, k: int, rows: Sequence[int] | None
    ) -> list[list[tuple[int, float]]]:
        actors = self._readers.actors[: max(1, len(self._segments))]
        found = self._readers.gathered(
            [
                actor.candidates.remote(self._segments[i :: len(actors)], queries, k, rows)
                for i, actor in enumerate(actors)
            ]
        )
        return [
            best([_numbered(each[n], i, len(actors)) for i, each in enumerate(found)], k)
            for n in range(len(queries))
        ]


def _numbered(found: Candidates, process: int, processes: int) -> Candidates:
    """With the segments numbered as in the index."""
    return replace(found, parts=found.parts * processes + process)
