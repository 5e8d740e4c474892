"""Documents: each file's state from queued to ready, its original, and its removal."""

import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from app.library.collections import Collections
from app.library.redact import redact_answers
from app.library.store import LibraryError, NotFound
from retrieval.storage.durable import rename

MAX_FILE_BYTES = 100 * 2**20
CHUNK_BYTES = 2**20


class State(StrEnum):
    """Where a document stands on its way into the index."""

    QUEUED = "queued"
    PARSING = "parsing"
    EMBEDDING = "embedding"
    READY = "ready"
    FAILED = "failed"
    REMOVING = "removing"


NEXT: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.PARSING, State.FAILED, State.REMOVING}),
    State.PARSING: frozenset({State.EMBEDDING, State.FAILED, State.QUEUED, State.REMOVING}),
    State.EMBEDDING: frozenset({State.READY, State.FAILED, State.QUEUED, State.REMOVING}),
    State.READY: frozenset({State.REMOVING}),
    State.FAILED: frozenset({State.QUEUED, State.REMOVING}),
    State.REMOVING: frozenset({State.QUEUED}),  # the same bytes were added again
}
UNFINISHED = (State.PARSING, State.EMBEDDING)
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One document of one collection. `digest` (SHA-256 of its bytes) is its id in the index."""

    id: int
    collection_id: int
    digest: str
    name: str  # as the user knows it; never a path
    size: int  # bytes
    state: State
    reason: str | None  # why it failed
    progress: float  # 0 to 1 within its state
    pages: int | None
    passages: int | None
    added_at: float  # seconds since the epoch
    attempts: int  # how often a worker died with it in hand


class Documents(Collections):
    """What a library knows of its documents."""

    def documents(self, collection_id: int) -> list[DocumentRow]:
        """The documents of a collection, in the order they were added."""
        with self.read() as db:
            sql = "SELECT * FROM documents WHERE collection_id = ? ORDER BY id"
            return [_row(row) for row in db.execute(sql, (collection_id,))]

    def document(self, document_id: int) -> DocumentRow:
        """One document. Raises NotFound."""
        with self.read() as db:
            return _fetch(db, document_id)

    def documents_in(self, state: State, limit: int = 1000) -> list[DocumentRow]:
        """Documents of every collection that are in `state`, oldest first."""
        sql = (
            "SELECT d.* FROM documents d JOIN collections c ON c.id = d.collection_id"
            " WHERE d.state = ? AND c.deleted = 0 ORDER BY d.id LIMIT ?"
        )
        with self.read() as db:
            return [_row(row) for row in db.execute(sql, (state, limit))]

    def counts(self) -> dict[State, int]:
        """How many documents are in each state; none is 0."""
        sql = (
            "SELECT d.state, count(*) FROM documents d JOIN collections c"
            " ON c.id = d.collection_id WHERE c.deleted = 0 GROUP BY d.state"
        )
        with self.read() as db:
            found = {State(state): int(count) for state, count in db.execute(sql)}
        return {state: found.get(state, 0) for state in State}

    def searchable(self, collection_id: int) -> list[str] | None:
        """The digests a search must keep to while something is being removed; None: no limit."""
        rows = self.documents(collection_id)
        if all(row.state is not State.REMOVING for row in rows):
            return None
        return [row.digest for row in rows if row.state is State.READY]

    def add_file(
        self,
        collection_id: int,
        name: str,
        source: Path | BinaryIO,
        max_bytes: int = MAX_FILE_BYTES,
    ) -> DocumentRow:
        """Keep a copy of a file and queue it; the same bytes again are the same document.

        Raises LibraryError where the file is larger than `max_bytes` or cannot be stored, NotFound
        where the collection is gone.
        """
        folder = self._files(self.collection(collection_id).id)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copy, digest, size = _copy(source, folder, name, max_bytes)
        except OSError as error:
            raise LibraryError(f"{name}: cannot be stored ({error.strerror})") from None
        try:
            with self.write() as db:  # rename and row under one lock: no removal comes between them
                rename(copy, folder / digest)
                document_id = _insert(db, collection_id, digest, display_name(name), size)
                return _fetch(db, document_id)
        finally:
            copy.unlink(missing_ok=True)

    def advance(
        self,
        document_id: int,
        state: State,
        *,
        reason: str | None = None,
        pages: int | None = None,
        passages: int | None = None,
    ) -> bool:
        """Move a document on; False where it may not go there (any more), as after a removal."""
        came_from = [before for before, after in NEXT.items() if state in after]
        marks = ", ".join("?" for _ in came_from)
        sql = (
            "UPDATE documents SET state = ?, reason = ?, progress = 0, pages = coalesce(?, pages),"
            f" passages = coalesce(?, passages) WHERE id = ? AND state IN ({marks})"
        )
        with self.write() as db:
            done = db.execute(sql, (state, reason, pages, passages, document_id, *came_from))
            return done.rowcount == 1

    def set_progress(self, document_ids: Iterable[int], progress: float) -> None:
        """Say how far documents are within their state, from 0 to 1."""
        share = min(max(progress, 0.0), 1.0)
        with self.write() as db:
            sql = "UPDATE documents SET progress = ? WHERE id = ?"
            db.executemany(sql, [(share, each) for each in document_ids])

    def retry(self, document_id: int) -> None:
        """Queue a failed document again. Raises NotFound, or LibraryError where it did not fail."""
        with self.write() as db:
            row = _fetch(db, document_id)
            if row.state is not State.FAILED:
                said = f"{row.name}: is {row.state}; only a failed document can be retried"
                raise LibraryError(said)
            sql = "UPDATE documents SET state = ?, reason = NULL, attempts = 0 WHERE id = ?"
            db.execute(sql, (State.QUEUED, document_id))

    def requeue_unfinished(self) -> int:
        """Queue again what a worker that ended left half done; how many that were."""
        sql = "UPDATE documents SET state = ?, progress = 0 WHERE state IN (?, ?)"
        with self.write() as db:
            return db.execute(sql, (State.QUEUED, *UNFINISHED)).rowcount

    def count_attempts(self) -> None:
        """Note that a worker died with what is unfinished; after three times that has failed."""
        reason = f"reading it ended the worker {MAX_ATTEMPTS} times"
        with self.write() as db:
            sql = "UPDATE documents SET attempts = attempts + 1 WHERE state IN (?, ?)"
            db.execute(sql, UNFINISHED)
            sql = (
                "UPDATE documents SET state = ?, reason = ?, progress = 0"
                " WHERE state IN (?, ?) AND attempts >= ?"
            )
            db.execute(sql, (State.FAILED, reason, *UNFINISHED, MAX_ATTEMPTS))

    def remove(self, document_id: int) -> None:
        """Take a document out of chats at once and mark it; the worker takes it out of the index.

        Stored citations to it say "removed" from here on. Raises NotFound.
        """
        with self.write() as db:
            row = _fetch(db, document_id)
            db.execute(
                "UPDATE documents SET state = ?, reason = NULL, progress = 0 WHERE id = ?",
                (State.REMOVING, document_id),
            )
            redact_answers(db, row.collection_id, row.digest)
        self.compact()

    def finish_removal(self, document_id: int) -> bool:
        """Forget the row and original of what has left the index; False if it was added again.

        `compact` is left to the caller, once for many documents.
        """
        with self.write() as db:
            row = _fetch(db, document_id)
            sql = "DELETE FROM documents WHERE id = ? AND state = ?"
            if db.execute(sql, (document_id, State.REMOVING)).rowcount == 0:
                return False
            self.file_path(row).unlink(missing_ok=True)
        return True

    def sweep_files(self) -> int:
        """Delete files that no document refers to (a crash between copy and row); how many."""
        swept = 0
        for collection in self.collections():
            folder = self._files(collection.id)
            with self.write() as db:  # nothing is added meanwhile
                sql = "SELECT digest FROM documents WHERE collection_id = ?"
                known = {row["digest"] for row in db.execute(sql, (collection.id,))}
                for path in folder.glob("*"):
                    # A young copy may belong to an upload that is still being written.
                    if path.name not in known and time.time() - path.stat().st_mtime > 3600:
                        path.unlink()
                        swept += 1
        return swept

    def file_path(self, row: DocumentRow) -> Path:
        """Where the original of a document is kept."""
        return self._files(row.collection_id) / row.digest

    def _files(self, collection_id: int) -> Path:
        return self.collection_path(collection_id) / "files"


def display_name(name: str) -> str:
    """A file's name for people: the last part of any path, printable, at most 200 characters."""
    last = name.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable()).strip()[-200:] or "unnamed"


def _copy(source: Path | BinaryIO, folder: Path, name: str, limit: int) -> tuple[Path, str, int]:
    """Copy to a synced temporary file in `folder`: its path, SHA-256 and size in bytes."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return _copy(stream, folder, name, limit)
    digest, size = hashlib.sha256(), 0
    handle, temporary = tempfile.mkstemp(prefix="incoming-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as out:
            while chunk := source.read(CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    raise LibraryError(f"{name}: larger than {limit // 2**20} MB, the limit")
                digest.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return Path(temporary), digest.hexdigest(), size


def _insert(db: sqlite3.Connection, collection_id: int, digest: str, name: str, size: int) -> int:
    """Insert a document, or find the one with these bytes; one being removed is queued again."""
    sql = "SELECT id, state FROM documents WHERE collection_id = ? AND digest = ?"
    known = db.execute(sql, (collection_id, digest)).fetchone()
    if known is None:
        cursor = db.execute(
            "INSERT INTO documents (collection_id, digest, name, size, state, added_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (collection_id, digest, name, size, State.QUEUED, time.time()),
        )
        assert cursor.lastrowid is not None
        return cursor.lastrowid
    if known["state"] == State.REMOVING:
        db.execute(
            "UPDATE documents SET state = ?, name = ?, added_at = ? WHERE id = ?",
            (State.QUEUED, name, time.time(), known["id"]),
        )
    return int(known["id"])


def _fetch(db: sqlite3.Connection, document_id: int) -> DocumentRow:
    row = db.execute("SELECT * FROM documents WHERE id = ?", (document_id,)).fetchone()
    if row is None:
        raise NotFound(f"there is no document {document_id} (any more)")
    return _row(row)


def _row(row: sqlite3.Row) -> DocumentRow:
    return DocumentRow(**{**dict(row), "state": State(row["state"])})
