"""Sources -> documents in an index: parse, split, add, and commit in batches.

A run that is killed loses at most one batch: documents are known by their content, so the next run
over the same sources passes over those that are committed.
"""

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.prepare import Prepared
from retrieval.ingest.preparing import NewFile, Preparing, Start, prepare_here
from retrieval.ingest.sources import (
    BadLine,
    CorpusEntry,
    CorpusSource,
    FileSource,
    Source,
    read_corpus,
)
from retrieval.ingest.writer import IndexWriter
from retrieval.parse.ocr import require as require_ocr
from retrieval.records import Chunker, clean
from retrieval.types import ParseFailure, RetrievalError

ENCODED_BATCH = 1_000  # passages between two commits: about a minute of encoding on a laptop
PLAIN_BATCH = 20_000
QUICK = 20.0  # seconds: after a commit as quick as that, the next one may be twice as large


class Progress(Protocol):
    """Hears how far a build is: `stage` is "reading" (files or lines) or "encoding" (passages)."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Failure:
    """A file, or a line of a corpus (`path:line`), that is not in the index, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What became of the sources; `passages` counts the index as it is afterwards.

    `seconds` are by stage: parse, chunk, store (SQLite), lucene, encode, vectors (their files), and
    the total.
    """

    passages: int
    ready: list[str]
    failed: list[Failure]
    seconds: dict[str, float]


def add_sources(
    path: Path,
    sources: Sequence[Source],
    *,
    encoder: Encoder | None,
    progress: Progress,
    chunker: Chunker | None = None,
    ocr: bool = False,
    strict: bool = False,
    preparing: Start = prepare_here,
) -> BuildReport:
    """Add what `sources` hold and the index in `path` lacks; raises RetrievalError if it cannot.

    What cannot be read is reported and the rest goes on; with `strict` it is an error. `preparing`
    says where documents are parsed and cut.
    """
    if ocr:
        require_ocr()
    batch = ENCODED_BATCH if encoder else PLAIN_BATCH
    with (
        IndexWriter(path, encoder, chunker=chunker) as writer,
        preparing(writer.preparer, writer.clock, ocr) as prepared,
    ):
        return _Ingest(writer, prepared, progress, batch, strict).run(sources)


class _Ingest:
    """One run over the sources: its tallies, its clock, and the batch being gathered."""

    def __init__(
        self,
        writer: IndexWriter,
        preparing: Preparing,
        progress: Progress,
        batch: int,
        strict: bool,
    ) -> None:
        self._writer = writer
        self._preparing = preparing
        self._progress = progress
        self._batch = batch
        self._strict = strict
        self._waiting = 0  # passages added since the last commit
        self._encoded = 0
        self._read = 0
        self._total = 0
        self._ready: list[str] = []
        self._failed: list[Failure] = []

    def run(self, sources: Sequence[Source]) -> BuildReport:
        files = [source for source in sources if isinstance(source, FileSource)]
        corpora = [source for source in sources if isinstance(source, CorpusSource)]
        started = time.perf_counter()
        self._total = len(files) + sum(_lines(corpus.path) for corpus in corpora)
        self._add_files(files)
        for corpus in corpora:
            self._add_corpus(corpus)
        self._commit()
        seconds = {**self._writer.clock.seconds, "total": time.perf_counter() - started}
        return BuildReport(
            self._writer.passages(),
            self._ready,
            self._failed,
            {stage: round(value, 3) for stage, value in seconds.items()},
        )

    def _add_files(self, files: Sequence[FileSource]) -> None:
        """Add the files whose bytes are not in the index yet."""
        for file, result in self._preparing.files(self._new_files(files)):
            if isinstance(result, ParseFailure):
                self._fail(file.source.path, result.reason)
                continue
            for replaced in file.source.replaces:
                self._writer.remove(replaced)
            if not self._writer.has(file.digest):  # two files may be the same
                self._add(result)
            self._done(file.source.path)

    def _new_files(self, files: Sequence[FileSource]) -> Iterator[NewFile]:
        """The files that are to be parsed; the others are ready, or cannot be read."""
        for file in files:
            try:
                digest = file_digest(file.path)
            except OSError as error:
                self._fail(file.path, error.strerror or str(error))
                continue
            if self._writer.has(digest) and digest not in file.replaces:
                self._done(file.path)
            else:
                yield NewFile(file, digest)

    def _add_corpus(self, corpus: CorpusSource) -> None:
        for document in self._preparing.entries(self._new_entries(corpus)):
            self._add(document)

    def _new_entries(self, corpus: CorpusSource) -> Iterator[CorpusEntry]:
        """The entries that are not in the index yet; lines that are none are noted."""
        seen: set[str] = set()
        for entry in read_corpus(corpus.path):
            self._step()
            if isinstance(entry, BadLine):
                self._note(Failure(f"{corpus.path}:{entry.line}", entry.reason))
            elif entry.id in seen:
                self._note(Failure(str(corpus.path), f"_id {entry.id} is there twice"))
            else:
                seen.add(entry.id)
                if not self._writer.has(entry.id):
                    yield entry
        if seen:
            self._ready.append(str(corpus.path))

    def _add(self, document: Prepared) -> None:
        self._waiting += self._writer.put(document)
        if self._waiting >= self._batch:
            self._commit()

    def _commit(self) -> None:
        started = time.perf_counter()
        self._writer.commit(self._encoding)
        if time.perf_counter() - started < QUICK:
            self._batch = min(2 * self._batch, PLAIN_BATCH)
        self._encoded += self._waiting
        self._waiting = 0

    def _encoding(self, done: int, total: int) -> None:
        self._progress("encoding", self._encoded + done, self._encoded + total)

    def _done(self, path: Path) -> None:
        self._ready.append(clean(str(path)))
        self._step()

    def _fail(self, path: Path, reason: str) -> None:
        self._note(Failure(clean(str(path)), reason))
        self._step()

    def _note(self, failure: Failure) -> None:
        if self._strict:
            raise RetrievalError(f"{failure.path}: {failure.reason}")
        self._failed.append(failure)

    def _step(self) -> None:
        self._read += 1
        self._progress("reading", self._read, self._total)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes: its document's id. Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)
