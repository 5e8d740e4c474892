"""One writer a folder: a lock that the system drops when its process ends, however it ends."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

from retrieval.types import IndexBusy, RetrievalError

FILE = "writer.lock"


class WriterLock:
    """Held from creation, which makes the folder, to `release`.

    Raises IndexBusy naming the process that holds it, or RetrievalError if the folder is read-only.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):  # though the lock's own file may be writable
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RetrievalError(f"{folder} cannot be written to: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(self._file, 32).decode() or "unknown"
            os.close(self._file)
            raise IndexBusy(
                f"{folder} is being written to by process {holder}: wait for it, then try again"
            ) from error
        with contextlib.suppress(OSError):  # a full disk: removing may be what makes room
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others write; the file stays, since deleting it would race with the next holder."""
        os.close(self._file)
