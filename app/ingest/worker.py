"""The ingest worker: takes queued documents into the index and removed ones out of it.

It alone writes to the indexes of a library. Whatever it was doing when it was killed is queued
again when it starts: commits are atomic, and adding a document twice replaces it.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING

from app.console import say
from app.ingest.worker_process import check_home, hold_home
from app.library import DocumentRow, Library, State
from retrieval.types import Extracted, IndexBusy, ParseFailure

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.ingest.writer import IndexWriter
    from retrieval.parse import ParserPool

POLL_SECONDS = 0.5
BATCH_FILES = 16
BATCH_CHARACTERS = 200_000  # about 350 passages: one commit stays under a minute on one thread
BATCH_SECONDS = 4.0  # spent parsing before what is there gets embedded


class _Stopped(Exception):
    """Raised out of a commit when the worker has to end."""


@dataclass(frozen=True, slots=True)
class _Parsed:
    row: DocumentRow
    extracted: Extracted


def run_worker(
    home: Path,
    *,
    stop: Flag,
    once: bool = False,
    encoder_name: str | None = None,
    ocr: bool = False,
) -> None:
    """Serve the library at `home` until `stop` is set; with `once`, until nothing is left to do.

    Raises WorkerBusy where another worker serves it, LibraryError where it cannot be opened,
    HomeGone once its folder is deleted, OcrMissing where `ocr` is asked for and not installed.
    """
    from retrieval.parse import ParserPool

    library = Library.open(home)
    with hold_home(home), ParserPool(workers=1, ocr=ocr) as pool:
        try:
            library.count_attempts()
            library.requeue_unfinished()
            library.sweep_files()
            library.compact()  # a process killed in the middle of a removal may not have
            _work(Worker(library, pool, encoder_name, stop), home, stop, once)
            library.requeue_unfinished()  # ended in good order: no attempt is counted
        except Exception:
            check_home(home)  # without its folder every step fails in some way
            raise


def _work(worker: "Worker", home: Path, stop: Flag, once: bool) -> None:
    while not stop.is_set():
        check_home(home)
        if not worker.step():
            if once:
                return
            stop.wait(POLL_SECONDS)


class Worker:
    """One worker's work, a step at a time; the encoder is loaded for the first document."""

    def __init__(
        self, library: Library, pool: "ParserPool", encoder_name: str | None, stop: Flag
    ) -> None:
        self._library, self._pool, self._stop = library, pool, stop
        self._encoder_name = encoder_name
        self._encoder: Encoder | None = None
        self._damaged: set[int] = set()  # collections whose index cannot be written

    def step(self) -> bool:
        """Do the next piece of work; False where there is none."""
        if gone := self._library.deleted_collections():
            self._library.erase_collection(gone[0])
            return True
        removing = self._library.documents_in(State.REMOVING)
        if rows := [row for row in removing if row.collection_id not in self._damaged]:
            return self._guard(rows, self._remove)
        if queued := self._library.documents_in(State.QUEUED):
            return self._guard(queued, self._take)
        return False

    def _guard(
        self, rows: Sequence[DocumentRow], work: Callable[[list[DocumentRow]], None]
    ) -> bool:
        """Do `work` on the first collection's rows; False where it has to wait or to end."""
        batch = next(list(group) for _, group in groupby(rows, lambda row: row.collection_id))
        try:
            work(batch)
        except _Stopped:
            return False
        except IndexBusy as error:  # a command line is writing there; it will be done
            say(f"worker: {error}; waiting")
            self._library.requeue_unfinished()
            return False
        return True

    def _remove(self, rows: list[DocumentRow]) -> None:
        collection_id = rows[0].collection_id
        path = self._library.index_path(collection_id)
        try:
            if path.exists():
                with self._writer(path) as writer:
                    for row in rows:
                        writer.remove(row.digest)
                    writer.commit()
        except IndexBusy:
            raise
        except Exception as error:  # searches leave the documents out meanwhile
            check_home(self._library.home)
            traceback.print_exc()
            say(f"worker: removing from collection {collection_id} failed: {error}")
            self._damaged.add(collection_id)
            return
        for row in rows:
            self._library.finish_removal(row.id)
        self._library.compact()

    def _take(self, rows: list[DocumentRow]) -> None:
        together = [row for row in rows if not row.attempts][:BATCH_FILES]
        parsed = self._parse(rows[:1] if rows[0].attempts else together)
        if parsed:
            self._embed(parsed)

    def _parse(self, rows: list[DocumentRow]) -> list[_Parsed]:
        """Parse documents one by one until there is enough for a commit."""
        parsed: list[_Parsed] = []
        started, characters = time.monotonic(), 0
        for row in rows:
            if self._stop.is_set():
                raise _Stopped
            if not self._library.advance(row.id, State.PARSING):
                continue  # removed meanwhile
            extracted = self._extract(row)
            if extracted is None:
                continue
            pages = len(extracted.page_starts) or None
            if self._library.advance(row.id, State.EMBEDDING, pages=pages):
                parsed.append(_Parsed(row, extracted))
                characters += len(extracted.text)
            if characters > BATCH_CHARACTERS or time.monotonic() - started > BATCH_SECONDS:
                break
        return parsed

    def _extract(self, row: DocumentRow) -> Extracted | None:
        """The text of a document, or None and the document failed with the reason."""
        try:
            return self._pool.parse(self._library.file_path(row), row.name)
        except ParseFailure as failure:
            self._library.advance(row.id, State.FAILED, reason=failure.reason)
            return None

    def _embed(self, parsed: list[_Parsed]) -> None:
        """Index a batch in one commit; all of it becomes ready, or all of it failed."""
        path = self._library.index_path(parsed[0].row.collection_id)
        try:
            with self._writer(path) as writer:
                counts = [
                    writer.add(each.row.digest, each.row.name, each.extracted) for each in parsed
                ]
                writer.commit(progress=self._progress([each.row.id for each in parsed]))
        except (_Stopped, IndexBusy):
            raise
        except Exception as error:  # whatever it is, the worker goes on and the page says it
            check_home(self._library.home)
            traceback.print_exc()
            for each in parsed:
                reason = f"could not be indexed: {error}"
                self._library.advance(each.row.id, State.FAILED, reason=reason)
            return
        for each, passages in zip(parsed, counts, strict=True):
            self._library.advance(each.row.id, State.READY, passages=passages)

    def _progress(self, ids: list[int]) -> Callable[[int, int], None]:
        def show(done: int, total: int) -> None:
            if self._stop.is_set():
                raise _Stopped
            self._library.set_progress(ids, done / max(total, 1))

        return show

    def _writer(self, path: Path) -> "IndexWriter":
        from retrieval.encoders.encoder import load_encoder
        from retrieval.ingest.writer import IndexWriter

        if self._encoder is None:
            self._encoder = load_encoder(self._encoder_name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return IndexWriter(path, self._encoder)
