"""Sources -> prepared documents, in order: in this process; retrieval/cluster does it on several.

Files are parsed a few ahead of what has been taken, in child processes.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from retrieval.ingest.prepare import Prepared, Preparer
from retrieval.ingest.sources import CorpusEntry, FileSource
from retrieval.ingest.stopwatch import Stopwatch
from retrieval.parse import ParserPool
from retrieval.types import Extracted, ParseFailure

T = TypeVar("T")

PARSERS = max(1, (os.cpu_count() or 2) // 2)


@dataclass(frozen=True, slots=True)
class NewFile:
    """A file to parse and the SHA-256 of its bytes, which is its document's id."""

    source: FileSource
    digest: str


FileResult = tuple[NewFile, Prepared | ParseFailure]


class Preparing(Protocol):
    """Prepares documents in the order they come, reading only somewhat ahead of what is taken."""

    def files(self, files: Iterable[NewFile]) -> Iterator[FileResult]: ...

    def entries(self, entries: Iterable[CorpusEntry]) -> Iterator[Prepared]: ...


# Begins it: how documents are cut, whose clock counts the stages, and whether scans are read.
Start = Callable[[Preparer, Stopwatch, bool], AbstractContextManager[Preparing]]


@contextmanager
def prepare_here(preparer: Preparer, clock: Stopwatch, ocr: bool) -> Iterator[Preparing]:
    """Prepare in this process, which leaves encoding to the writer."""
    with ParserPool(PARSERS, ocr=ocr) as pool:
        yield LocalPreparing(preparer, clock, pool)


class LocalPreparing:
    """Parses in a pool of child processes, and cuts in this one."""

    def __init__(self, preparer: Preparer, clock: Stopwatch, pool: ParserPool) -> None:
        self._preparer = preparer
        self._clock = clock
        self._pool = pool

    def files(self, files: Iterable[NewFile]) -> Iterator[FileResult]:
        """Each file with what became of it."""
        asked: deque[NewFile] = deque()

        def paths() -> Iterator[tuple]:
            for file in files:
                asked.append(file)
                yield file.source.path, file.source.name

        for _, result in self._timed("parse", self._pool.parse_many(paths())):
            file = asked.popleft()
            if isinstance(result, ParseFailure):
                yield file, result
            else:
                yield file, self._prepare(file.digest, file.source.name, result, whole=False)

    def entries(self, entries: Iterable[CorpusEntry]) -> Iterator[Prepared]:
        """Each entry of a corpus as a document that is one passage."""
        for entry in self._timed("parse", iter(entries)):
            yield self._prepare(entry.id, entry.id, extracted_of(entry), whole=True)

    def _prepare(self, id: str, name: str, extracted: Extracted, *, whole: bool) -> Prepared:
        with self._clock.running("chunk"):
            return self._preparer.prepare(id, name, extracted, whole=whole)

    def _timed(self, stage: str, items: Iterator[T]) -> Iterator[T]:
        """`items`, with the time spent waiting for them counted under `stage`."""
        while True:
            with self._clock.running(stage):
                item = next(items, None)
            if item is None:
                return
            yield item


def extracted_of(entry: CorpusEntry) -> Extracted:
    """A corpus entry as a parser would hand it over."""
    return Extracted(entry.title, entry.text, (), "text/plain")
