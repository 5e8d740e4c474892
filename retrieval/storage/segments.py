"""Dense vectors on disk: immutable files of at most 50,000 rows, named by their hash.

A segment is a safetensors file of `rows` (n,) int64, ascending, and `vectors` (n, d) float32. Row
numbers ascend over the segments too, and none is ever used for another passage.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.records import Segment
from retrieval.storage.durable import write_file
from retrieval.types import IndexDamaged

MAX_ROWS = 50_000
Rows = NDArray[np.int64]  # (n,) ascending
Vectors = NDArray[np.float32]  # (n, d)


def update_segments(
    folder: Path,
    segments: Sequence[Segment],
    added: tuple[Rows, Vectors],
    removed: Rows,
) -> list[Segment]:
    """Write the segments that hold `segments` less `removed` plus `added`; returns the new list.

    Segments that neither lose rows nor are merged stay as they are, their vectors unread; no file
    is deleted.
    """
    kept = (
        [_without(folder, segment, removed) for segment in segments] if len(removed) else segments
    )
    result = [segment for segment in kept if segment is not None]
    rows, vectors = added
    if not len(rows):
        return result
    for segment in reversed(result[mergeable([s.rows for s in result], len(rows)) :]):
        old_rows, old_vectors = read_segment(folder, segment)
        rows, vectors = np.concatenate([old_rows, rows]), np.concatenate([old_vectors, vectors])
        result.pop()
    for start in range(0, len(rows), MAX_ROWS):
        part = slice(start, start + MAX_ROWS)
        result.append(_write(folder, rows[part], vectors[part]))
    return result


def mergeable(sizes: Sequence[int], added: int) -> int:
    """Index from which segments of `sizes` join `added` new rows, so that few segments stay.

    A segment joins when it is no larger than what has gathered, like carries in a binary counter:
    a row is rewritten a logarithmic number of times.
    """
    first = len(sizes)
    while first > 0 and sizes[first - 1] <= added and sizes[first - 1] + added <= MAX_ROWS:
        first -= 1
        added += sizes[first]
    return first


def read_segment(folder: Path, segment: Segment) -> tuple[Rows, Vectors]:
    """Rows and vectors of a segment, mapped from its file, so that what is not used is not read.

    Raises IndexDamaged if the file is not what was written, or FileNotFoundError.
    """
    path = folder / segment.name
    with _damage(path):
        rows, vectors = _mapped(path)
    if len(rows) != segment.rows or len(vectors) != segment.rows:
        raise IndexDamaged(f"{path} holds {len(rows)} rows, not {segment.rows}; build again")
    return rows, vectors


def _mapped(path: Path) -> tuple[Rows, Vectors]:
    """A safetensors file: the length of its header, the header in JSON, and the numbers."""
    whole = np.asarray(np.memmap(path, np.uint8, "r"))
    length = int(whole[:8].view("<u8")[0])
    header = json.loads(whole[8 : 8 + length].tobytes())
    numbers = whole[8 + length :]

    def tensor(name: str, dtype: str) -> Any:
        begin, end = header[name]["data_offsets"]
        return numbers[begin:end].view(dtype).reshape(header[name]["shape"])

    return tensor("rows", "<i8"), tensor("vectors", "<f4")


def delete_unused(folder: Path, segments: Sequence[Segment]) -> None:
    """Delete every file of `folder` that is none of `segments`."""
    used = {segment.name for segment in segments}
    used |= {segment.ann.name for segment in segments if segment.ann}
    for path in folder.iterdir():
        if path.name not in used:
            path.unlink()


def segment_problem(folder: Path, segment: Segment) -> str | None:
    """What is wrong with a segment's file, or None."""
    path = folder / segment.name
    if not path.is_file():
        return f"{path} is missing"
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == segment.sha256 else f"{path}: SHA-256 is {found}, not {segment.sha256}"


def _without(folder: Path, segment: Segment, removed: Rows) -> Segment | None:
    """The segment less the `removed` rows: itself, a new one, or None when nothing is left."""
    first, last = _ends(folder, segment)
    if not ((removed >= first) & (removed <= last)).any():
        return segment
    rows, vectors = read_segment(folder, segment)
    kept = ~np.isin(rows, removed)
    if kept.all():
        return segment
    return _write(folder, rows[kept], vectors[kept]) if kept.any() else None


def _ends(folder: Path, segment: Segment) -> tuple[int, int]:
    """The first and the last row of a segment, of which nothing else is read."""
    from safetensors import safe_open

    path = folder / segment.name
    with _damage(path), safe_open(path, framework="numpy") as tensors:
        rows = tensors.get_slice("rows")
        return int(rows[:1][0]), int(rows[segment.rows - 1 :][0])


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Errors of reading a segment as IndexDamaged, but for FileNotFoundError."""
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # safetensors raises its own kinds
        raise IndexDamaged(f"{path}: {error}; build the index again") from error


def _write(folder: Path, rows: Rows, vectors: Vectors) -> Segment:
    from safetensors.numpy import save

    folder.mkdir(exist_ok=True)
    content = save({"rows": np.ascontiguousarray(rows), "vectors": np.ascontiguousarray(vectors)})
    digest = hashlib.sha256(content).hexdigest()
    name = f"{digest[:32]}.safetensors"
    write_file(folder / name, content)
    return Segment(name, len(rows), digest)
