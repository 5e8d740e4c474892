"""The library's database: one SQLite file, its migrations, and short transactions."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.types import OrbweaverError

BUSY_SECONDS = 30.0

# Each entry moves the schema up by one `user_version`; entries are only ever appended.
MIGRATIONS = (
    """
    CREATE TABLE collections (
        id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never reused: it names a folder
        name TEXT NOT NULL,
        created_at REAL NOT NULL,
        deleted INTEGER NOT NULL DEFAULT 0     -- hidden until the worker has removed its folder
    );
    CREATE UNIQUE INDEX collection_names ON collections (name COLLATE NOCASE) WHERE deleted = 0;
    CREATE TABLE documents (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT,
        progress REAL NOT NULL DEFAULT 0,
        pages INTEGER,
        passages INTEGER,
        added_at REAL NOT NULL,
        UNIQUE (collection_id, digest)
    );
    CREATE INDEX documents_by_state ON documents (state);
    CREATE TABLE chats (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
        title TEXT NOT NULL,
        created_at REAL NOT NULL,
        updated_at REAL NOT NULL
    );
    CREATE TABLE messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
        question TEXT NOT NULL,
        answer TEXT NOT NULL,                  -- the whole Answer as JSON
        created_at REAL NOT NULL
    );
    CREATE INDEX messages_by_chat ON messages (chat_id);
    """,
    "ALTER TABLE documents ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0",
)


class LibraryError(OrbweaverError):
    """The library cannot do what was asked; the message says why and what to do."""


class NotFound(LibraryError):
    """The collection, document or chat does not exist (any more)."""


class Store:
    """A home folder with its database; each call has its own connection, so any thread may call."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "library.db"

    def prepare(self) -> None:
        """Create the folder and bring the schema up to date.

        Raises LibraryError where a newer version wrote it, or where the folder cannot be used.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            with self.write() as db:
                _migrate(db, self.path)
        except (OSError, sqlite3.DatabaseError) as error:
            raise LibraryError(f"{self.path}: cannot be used ({error}); check the folder") from None

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one consistent state."""
        db = _connect(self.path)
        try:
            db.execute("BEGIN")
            yield db
        finally:
            db.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction that holds the write lock from its start; an exception rolls it back."""
        db = _connect(self.path)
        try:
            db.execute("BEGIN IMMEDIATE")
            yield db
            db.commit()
        finally:
            db.close()  # without a commit this rolls back

    def compact(self) -> None:
        """Write the file anew and empty its log, for `secure_delete` leaves words in both."""
        db = _connect(self.path)
        try:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            db.close()


def _connect(path: Path) -> sqlite3.Connection:
    """Open a library that is there: one that was deleted is not made again, without its tables."""
    there = f"{path.absolute().as_uri()}?mode=rw"
    try:
        db = sqlite3.connect(there, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise LibraryError(f"{path}: cannot be opened ({error}); was it deleted?") from None
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA secure_delete = ON")
    return db


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise LibraryError(
            f"{path}: written by a newer version (schema {version}); update Orbweaver"
        )
    for script in MIGRATIONS[version:]:
        for statement in script.split(";"):
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
