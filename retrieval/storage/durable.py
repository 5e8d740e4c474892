"""Files that are either the old one or the new one after a crash, never half of either."""

import os
from pathlib import Path

UNFINISHED = ".new"


def write_file(path: Path, content: bytes) -> None:
    """Replace `path` by `content`: a temporary file beside it, synchronised, then renamed."""
    unfinished = path.with_name(f".{path.name}{UNFINISHED}")
    try:
        with open(unfinished, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rename(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)  # a full disk gets back what half a file took


def delete_unfinished(folder: Path) -> None:
    """Delete what `write_file` left in a folder when its process was killed."""
    for path in folder.glob(f".*{UNFINISHED}"):
        path.unlink()


def rename(source: Path, target: Path) -> None:
    """Rename, and make the new name durable."""
    os.replace(source, target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
