"""passages.db: documents, passages and the index's one commit point, in SQLite.

What SQLite has committed is the index; Lucene's commits and the dense segments follow its
generation. A rollback journal instead of a write-ahead log: the folder stays one file a part when
copied, works read-only, and nothing removed lingers beside the database (inside, see `purge`).
"""

import json
import os
import sqlite3
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retrieval.records import (
    AnnFile,
    Chunker,
    Committed,
    EncoderInfo,
    NewPassage,
    Placed,
    Row,
    Segment,
)
from retrieval.storage.durable import rename
from retrieval.types import (
    DocumentInfo,
    Extracted,
    IndexDamaged,
    IndexMismatch,
    NotAnIndex,
    Passage,
    RetrievalError,
)

FORMAT = 1
FILE = "passages.db"
BATCH = 500  # parameters of one statement; SQLite's limit is far above

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, title TEXT NOT NULL, media_type TEXT NOT NULL,
    pages INTEGER, text TEXT NOT NULL, passages INTEGER NOT NULL, truncated INTEGER NOT NULL);
-- Names and counts without reading through the texts; an index made before this does without.
CREATE INDEX documents_by_name ON documents (name, id, passages, truncated);
CREATE TABLE passages (
    row INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: dense segments name passages by it
    id TEXT NOT NULL UNIQUE, document_id TEXT NOT NULL REFERENCES documents (id),
    page INTEGER, start INTEGER NOT NULL, "end" INTEGER NOT NULL,
    text TEXT); -- NULL where the passage is the whole document
CREATE INDEX passages_of_document ON passages (document_id, row);
CREATE TABLE segments (
    ordinal INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,
    sha256 TEXT NOT NULL);
"""
PASSAGE = """
SELECT p.id, p.document_id, d.title, coalesce(p.text, d.text), p.page, p.start, p."end"
FROM passages p JOIN documents d ON d.id = p.document_id"""
ROW = """
SELECT p.row, d.title, coalesce(p.text, d.text)
FROM passages p JOIN documents d ON d.id = p.document_id"""
DOCUMENT = "SELECT id, name, title, media_type, pages, length(text), passages FROM documents"


class Store:
    """One connection, safe to use from any thread; a writer's changes show at `commit`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.RLock()

    @classmethod
    def create(cls, folder: Path, encoder: EncoderInfo | None, chunker: Chunker) -> "Store":
        """A new, empty store of generation 0; only one process may be writing to the folder."""
        unfinished = folder / f"{FILE}.new"
        unfinished.unlink(missing_ok=True)
        store = cls(_connect(unfinished, "rwc"))
        store._connection.executescript(SCHEMA)
        store._connection.execute(f"PRAGMA user_version = {FORMAT}")
        store._set_meta("encoder", asdict(encoder) if encoder else None)
        store._set_meta("chunker", asdict(chunker))
        store.commit(0)
        store.close()
        rename(unfinished, folder / FILE)
        return cls.open(folder, writable=True)

    @classmethod
    def open(cls, folder: Path, *, writable: bool = False) -> "Store":
        """Open the store of an index; raises NotAnIndex, IndexMismatch (format) or IndexDamaged."""
        path = folder / FILE
        if not path.is_file():
            raise NotAnIndex(
                f"{folder} holds no index: 'python -m app index build SOURCE --out DIR' makes one"
            )
        can_write = os.access(path, os.W_OK) and os.access(folder, os.W_OK)
        store = cls(_connect(path, "rw" if can_write else "ro"))
        if not writable:
            store._connection.execute("PRAGMA query_only = ON")
        store._check_format(folder)
        if writable and path.with_name(f"{FILE}-journal").exists():
            store.commit(store.generation)  # ends the journal that a killed writer had only begun
        return store

    def close(self) -> None:
        """Close the connection; what was not committed is forgotten."""
        with self._lock:
            self._connection.close()

    @property
    def generation(self) -> int:
        """The committed generation, read anew each time."""
        return int(self._meta("generation"))

    @property
    def encoder(self) -> EncoderInfo | None:
        """The encoder of the dense part; None if there is none."""
        value = self._meta("encoder")
        return EncoderInfo(**value) if value else None

    @property
    def chunker(self) -> Chunker:
        """How documents are cut."""
        return Chunker(**self._meta("chunker"))

    def committed(self) -> Committed:
        """Generation, encoder and segments of one commit, though a writer may be committing."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                return Committed(self.generation, self.encoder, tuple(self.segments()))
            finally:
                self._connection.rollback()

    def commit(self, generation: int) -> None:
        """Make every change since the last commit durable: the index's commit point."""
        with self._lock:
            self._set_meta("generation", generation)
            self._connection.commit()

    def purge(self) -> None:
        """Write the file anew: `secure_delete` misses cells that SQLite had moved before.

        Readers wait meanwhile, about nine seconds a gigabyte.
        """
        with self._lock:
            self._connection.execute("PRAGMA cache_spill = ON")  # else all of it is held in memory
            try:
                self._connection.execute("VACUUM")
            finally:
                self._connection.execute("PRAGMA cache_spill = OFF")

    def has(self, document_id: str) -> bool:
        """Whether the document is stored."""
        return bool(self._rows("SELECT 1 FROM documents WHERE id = ?", document_id))

    def find(self, named: str) -> list[str]:
        """Ids of the documents with this id or name."""
        query = "SELECT id FROM documents WHERE id = ? OR name = ? ORDER BY id"
        return [id for (id,) in self._rows(query, named, named)]

    def names(self) -> dict[str, str]:
        """The name of each document, by its id."""
        return dict(sorted(self._rows("SELECT id, name FROM documents")))

    def document(self, document_id: str) -> DocumentInfo | None:
        """What is known of a document, or None."""
        found = self._rows(f"{DOCUMENT} WHERE id = ?", document_id)
        return DocumentInfo(*found[0]) if found else None

    def documents(self) -> list[DocumentInfo]:
        """All documents, by name and id."""
        return [DocumentInfo(*row) for row in self._rows(f"{DOCUMENT} ORDER BY name, id")]

    def page_start(self, document_id: str, page: int) -> int | None:
        """Where the text of a page (1-based) begins; None if no passage stands on it."""
        query = "SELECT min(start) FROM passages WHERE document_id = ? AND page = ?"
        start: int | None = self._rows(query, document_id, page)[0][0]
        return start

    def text(self, document_id: str) -> str | None:
        """The extracted text of a document, or None."""
        found = self._rows("SELECT text FROM documents WHERE id = ?", document_id)
        return found[0][0] if found else None

    def passages(self, ids: Collection[str]) -> dict[str, Passage]:
        """Those of `ids` that are stored."""
        found = self._rows_in(f"{PASSAGE} WHERE p.id IN", ids)
        return {row[0]: Passage(*row) for row in found}

    def passages_of(self, document_id: str) -> list[Passage]:
        """The passages of a document, in order."""
        rows = self._rows(f"{PASSAGE} WHERE p.document_id = ? ORDER BY p.row", document_id)
        return [Passage(*row) for row in rows]

    def ids_of_rows(self, rows: Collection[int]) -> dict[int, str]:
        """Passage ids by row number, of those rows that are still stored."""
        return dict(self._rows_in("SELECT row, id FROM passages WHERE row IN", rows))

    def rows_of_ids(self, ids: Collection[str]) -> dict[str, int]:
        """Row numbers by passage id, of those that are stored."""
        return dict(self._rows_in("SELECT id, row FROM passages WHERE id IN", ids))

    def rows_of_documents(self, documents: Collection[str]) -> list[int]:
        """Row numbers of every passage of these documents, ascending."""
        found = self._rows_in("SELECT row FROM passages WHERE document_id IN", documents)
        return sorted(row for (row,) in found)

    def rows(self) -> list[int]:
        """All row numbers, ascending."""
        return [row for (row,) in self._rows("SELECT row FROM passages ORDER BY row")]

    def last_row(self) -> int:
        """The highest row number ever given, 0 if none was."""
        found = self._rows("SELECT seq FROM sqlite_sequence WHERE name = 'passages'")
        return int(found[0][0]) if found else 0

    def counts(self) -> tuple[int, int, int]:
        """Documents, passages, and passages longer than the encoder reads."""
        (row,) = self._rows("SELECT count(*), total(passages), total(truncated) FROM documents")
        return int(row[0]), int(row[1]), int(row[2])

    def segments(self) -> list[Segment]:
        """The dense segments, in order."""
        found = self._rows("SELECT name, rows, sha256 FROM segments ORDER BY ordinal")
        files = self._meta("ann", {})
        return [
            Segment(name, rows, sha256, AnnFile(**files[name]) if name in files else None)
            for name, rows, sha256 in found
        ]

    @property
    def ann_kind(self) -> str | None:
        """The kind of FAISS files asked for; None where size and memory choose it."""
        kind: str | None = self._meta("ann_kind")
        return kind

    def set_ann_kind(self, kind: str | None) -> None:
        """Ask for a kind of FAISS files."""
        with self._lock:
            self._set_meta("ann_kind", kind)

    def add(
        self,
        document_id: str,
        name: str,
        extracted: Extracted,
        passages: Sequence[NewPassage],
        truncated: int,
    ) -> None:
        """Store a document that is not there yet, with its passages."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(document_id, name, extracted.title, extracted.media_type),
                    *(len(extracted.page_starts) or None, extracted.text, len(passages), truncated),
                ),
            )
            self._connection.executemany(
                'INSERT INTO passages (id, document_id, page, start, "end", text)'
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(p.id, document_id, p.page, p.start, p.end, p.text) for p in passages],
            )

    def remove(self, document_id: str) -> list[int]:
        """Delete a document; returns the row numbers its passages had."""
        with self._lock:
            rows = self.rows_of_documents([document_id])
            self._connection.execute("DELETE FROM passages WHERE document_id = ?", (document_id,))
            self._connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))
            return rows

    def rename(self, document_id: str, name: str) -> None:
        """Give a document another name; its title stays."""
        with self._lock:
            self._connection.execute(
                "UPDATE documents SET name = ? WHERE id = ?", (name, document_id)
            )

    def rows_after(self, row: int) -> Iterator[Row]:
        """Passages with a row number above `row`, ascending, as the encoder needs them."""
        return (Row(*found) for found in self._rows(f"{ROW} WHERE p.row > ? ORDER BY p.row", row))

    def passages_by_row(self, rows: Collection[int]) -> dict[int, Row]:
        """Those of `rows` that are stored."""
        return {found[0]: Row(*found) for found in self._rows_in(f"{ROW} WHERE p.row IN", rows)}

    def placed_after(self, row: int, limit: int) -> list[Placed]:
        """The first `limit` passages with a row number above `row`, ascending."""
        query = """SELECT p.row, p.document_id, d.passages, d.title, coalesce(p.text, d.text)
            FROM passages p JOIN documents d ON d.id = p.document_id
            WHERE p.row > ? ORDER BY p.row LIMIT ?"""
        return [Placed(*found) for found in self._rows(query, row, limit)]

    def set_encoder(self, encoder: EncoderInfo | None, truncated: Mapping[str, int]) -> None:
        """Name another encoder, and by document id how many passages it does not read whole."""
        with self._lock:
            self._set_meta("encoder", asdict(encoder) if encoder else None)
            self._connection.execute("UPDATE documents SET truncated = 0 WHERE truncated > 0")
            self._connection.executemany(
                "UPDATE documents SET truncated = ? WHERE id = ?",
                [(count, id) for id, count in truncated.items()],
            )

    def set_segments(self, segments: Sequence[Segment]) -> None:
        """Replace the list of dense segments."""
        with self._lock:
            self._connection.execute("DELETE FROM segments")
            self._connection.executemany(
                "INSERT INTO segments VALUES (?, ?, ?, ?)",
                [(i, s.name, s.rows, s.sha256) for i, s in enumerate(segments)],
            )
            self._set_meta("ann", {s.name: asdict(s.ann) for s in segments if s.ann})

    def problems(self) -> list[str]:
        """What SQLite's own check and the table's counts say is wrong."""
        check = [str(row[0]) for row in self._rows("PRAGMA integrity_check")]
        found = [] if check == ["ok"] else [f"{FILE}: {line}" for line in check]
        (stored,) = self._rows("SELECT count(*) FROM passages")[0]
        _, counted, _ = self.counts()
        if stored != counted:
            found.append(f"{FILE}: holds {stored} passages, documents say {counted}")
        return found + [
            f"{FILE}: passage {p.id} is not text[{p.start}:{p.end}] of its document"
            for p in self._misplaced()
        ]

    def _misplaced(self) -> list[Passage]:
        rows = self._rows(
            f"{PASSAGE} WHERE p.text IS NOT NULL"
            ' AND substr(d.text, p.start + 1, p."end" - p.start) <> p.text LIMIT 10'
        )
        return [Passage(*row) for row in rows]

    def _check_format(self, folder: Path) -> None:
        try:
            (found,) = self._rows("PRAGMA user_version")[0]
        except sqlite3.DatabaseError as error:
            raise IndexDamaged(f"{folder / FILE}: {error}; build the index again") from error
        if found != FORMAT:
            raise IndexMismatch(
                f"{folder} has index format {found}, this version reads {FORMAT}:"
                " build it again with 'python -m app index build SOURCE --out DIR'"
            )
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'"):
            raise NotAnIndex(f"{folder / FILE} is another program's: {folder} holds no index")

    def _meta(self, key: str, missing: Any = None) -> Any:
        found = self._rows("SELECT value FROM meta WHERE key = ?", key)
        return json.loads(found[0][0]) if found else missing

    def _set_meta(self, key: str, value: Any) -> None:
        self._connection.execute("REPLACE INTO meta VALUES (?, ?)", (key, json.dumps(value)))

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def _rows_in(self, query: str, values: Collection[Any]) -> list[Any]:
        """`query` ends in IN; ask it for `values`, a batch at a time."""
        wanted, found = list(values), []
        for i in range(0, len(wanted), BATCH):
            batch = wanted[i : i + BATCH]
            found += self._rows(f"{query} ({','.join('?' * len(batch))})", *batch)
        return found


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=30, check_same_thread=False
        )
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA cache_spill = OFF")  # readers stay free until commit
        connection.execute("PRAGMA foreign_keys = ON")
    except sqlite3.Error as error:
        raise RetrievalError(f"{path}: {error}") from error
    return connection
