"""A user's library: collections, documents and chats in one SQLite file under the home folder.

Backup: `Library.backup(path)` at any time, or a plain copy of the home folder while nothing runs.
"""

import shutil
import sqlite3
from pathlib import Path
from typing import Self

from app.library.chats import Chat, Chats, Message
from app.library.collections import Collection
from app.library.documents import MAX_FILE_BYTES, DocumentRow, State
from app.library.store import LibraryError, NotFound

__all__ = [
    "MAX_FILE_BYTES",
    "Chat",
    "Collection",
    "DocumentRow",
    "Library",
    "LibraryError",
    "Message",
    "NotFound",
    "State",
]


class Library(Chats):
    """Everything a user keeps. Calls are short transactions of their own and safe from any thread.

    Store -> Collections -> Documents -> Chats -> Library: each adds the calls for its own tables.
    """

    @classmethod
    def open(cls, home: Path) -> Self:
        """Open the library under `home`, creating or migrating it. Raises LibraryError."""
        library = cls(home)
        library.prepare()
        return library

    def backup(self, target: Path) -> None:
        """Copy the library into the new folder `target`: the database as of now, and the originals.

        Indexes are left out: a copy opened as a home queues its documents again and rebuilds them.
        Raises LibraryError where `target` exists.
        """
        if target.exists():
            raise LibraryError(f"{target}: exists already; name a new folder for the backup")
        with self.read() as source:
            target.mkdir(parents=True)
            copy = sqlite3.connect(target / self.path.name)
            try:
                source.backup(copy)
                copy.execute("DELETE FROM documents WHERE state = 'removing'")
                copy.execute("UPDATE documents SET state = 'queued', progress = 0")
                copy.commit()
                rows = copy.execute("SELECT collection_id, digest FROM documents").fetchall()
            finally:
                copy.close()
        for collection_id, digest in rows:
            self._copy_original(target, collection_id, digest)

    def _copy_original(self, target: Path, collection_id: int, digest: str) -> None:
        original = self._files(collection_id) / digest
        kept = target / original.relative_to(self.home)
        kept.parent.mkdir(parents=True, exist_ok=True)
        if original.exists():  # removed while the backup ran
            shutil.copyfile(original, kept)
