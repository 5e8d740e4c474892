"""Collections: named sets of documents, each with a folder for its originals and its index."""

import shutil
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from app.library.store import LibraryError, NotFound, Store


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection with its document counts; `created_at` is in seconds since the epoch."""

    id: int
    name: str
    created_at: float
    documents: int
    ready: int


_SELECT = """
    SELECT c.id, c.name, c.created_at, count(d.id) AS documents,
        coalesce(sum(d.state = 'ready'), 0) AS ready
    FROM collections c LEFT JOIN documents d ON d.collection_id = c.id
    WHERE c.deleted = 0 {where} GROUP BY c.id ORDER BY c.id
"""


class Collections(Store):
    """What a library knows of its collections."""

    def collections(self) -> list[Collection]:
        """All collections, oldest first."""
        with self.read() as db:
            return [Collection(**row) for row in db.execute(_SELECT.format(where=""))]

    def collection(self, collection_id: int) -> Collection:
        """One collection. Raises NotFound."""
        with self.read() as db:
            row = db.execute(_SELECT.format(where="AND c.id = ?"), (collection_id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no collection {collection_id}")
        return Collection(**row)

    def create_collection(self, name: str) -> Collection:
        """A new, empty collection. Raises LibraryError where the name is empty or taken."""
        with self.write() as db:
            cursor = _named(
                db,
                "INSERT INTO collections (name, created_at) VALUES (:name, :now)",
                name,
                now=time.time(),
            )
        assert cursor.lastrowid is not None
        return self.collection(cursor.lastrowid)

    def rename_collection(self, collection_id: int, name: str) -> None:
        """Raises NotFound, or LibraryError where the name is empty or taken."""
        with self.write() as db:
            cursor = _named(
                db,
                "UPDATE collections SET name = :name WHERE id = :id AND deleted = 0",
                name,
                id=collection_id,
            )
            if cursor.rowcount == 0:
                raise NotFound(f"there is no collection {collection_id}")

    def delete_collection(self, collection_id: int) -> None:
        """Take a collection and its chats out of sight at once; the worker removes its folder."""
        with self.write() as db:
            db.execute("UPDATE collections SET deleted = 1 WHERE id = ?", (collection_id,))
            db.execute("DELETE FROM chats WHERE collection_id = ?", (collection_id,))
        self.compact()

    def deleted_collections(self) -> list[int]:
        """Collections whose folders still have to go."""
        with self.read() as db:
            rows = db.execute("SELECT id FROM collections WHERE deleted = 1 ORDER BY id")
            return [row["id"] for row in rows]

    def erase_collection(self, collection_id: int) -> None:
        """Remove a deleted collection's folder and rows. For the worker, which owns the indexes."""
        shutil.rmtree(self.collection_path(collection_id), ignore_errors=True)
        with self.write() as db:
            db.execute("DELETE FROM collections WHERE id = ? AND deleted = 1", (collection_id,))
        self.compact()

    def collection_path(self, collection_id: int) -> Path:
        """The folder of one collection."""
        return self.home / "collections" / str(collection_id)

    def index_path(self, collection_id: int) -> Path:
        """The folder of its index; only the worker writes there, and it may not exist yet."""
        return self.collection_path(collection_id) / "index"


def _named(db: sqlite3.Connection, sql: str, name: str, **values: object) -> sqlite3.Cursor:
    clean = " ".join(name.split())
    if not clean:
        raise LibraryError("a collection needs a name")
    try:
        return db.execute(sql, {"name": clean[:200], **values})
    except sqlite3.IntegrityError:
        raise LibraryError(f"there is already a collection called '{clean}'") from None
