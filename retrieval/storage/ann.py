"""FAISS files beside the segments of a large index, so that a query need not read every vector.

The vectors of a segment stay what the index is. Its FAISS file is made of them, is listed with it
in `passages.db`, and goes with it; what a search finds in the file is scored anew by the vectors
(`retrieval/dense.py`). A small index has no such files, and its search is exact.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from retrieval.records import AnnFile, Segment
from retrieval.storage.durable import write_file
from retrieval.storage.segments import MAX_ROWS, Vectors, read_segment
from retrieval.types import IndexDamaged

READ = 2**28  # bytes that a query may read: about 20 ms on two cores
SMALLEST = MAX_ROWS // 2  # rows; smaller segments are soon merged, and quick to read
PROBED = 3  # one list in so many is read
TRAINED_ON = 64  # vectors for each list
LINKS, BREADTH = 32, 512  # of HNSW's graph: neighbours of a vector, candidates of a query


class Kind(StrEnum):
    """How the vectors of large segments are searched."""

    FLAT = "flat"  # every vector is read, and there is no file: exact
    SQ8 = "sq8"  # every vector is read, at one byte for each number
    IVF = "ivf"  # such bytes in lists, one for each centroid; a third of the lists is read
    HNSW = "hnsw"  # a graph over such bytes: reads least, takes longest to make


def choose(rows: int, dimension: int, memory: int) -> Kind:
    """The most exact kind that reads no more than READ bytes a query, or an eighth of `memory`."""
    allowed = min(READ, memory // 8)
    if 4 * rows * dimension <= allowed:
        return Kind.FLAT
    return Kind.SQ8 if rows * dimension <= allowed else Kind.IVF


def wanted(asked: str | None, segments: Sequence[Segment], dimension: int) -> Kind:
    """The kind `asked` for, or the one that the size and this machine's memory choose."""
    import psutil

    rows = sum(segment.rows for segment in segments)
    return Kind(asked) if asked else choose(rows, dimension, psutil.virtual_memory().total)


def update_ann(folder: Path, segments: Sequence[Segment], kind: Kind) -> list[Segment]:
    """The segments, each large one with a FAISS file of this kind; no file is deleted."""
    return [_updated(folder, segment, kind) for segment in segments]


def open_ann(folder: Path, ann: AnnFile) -> Any:
    """The FAISS index in a file, which stays mapped; raises IndexDamaged or FileNotFoundError."""
    import faiss

    path = folder / ann.name
    if problem := _problem(path, ann):  # FAISS would crash on some damaged files
        raise IndexDamaged(f"{problem}; build the index again")
    if ann.kind != Kind.IVF:
        return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    index: Any = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    lists: Any = faiss.downcast_InvertedLists(index.invlists)
    lists.prefetch_nthread = 0  # else 32 threads a query
    return index


def ann_problem(folder: Path, ann: AnnFile) -> str | None:
    """What is wrong with a FAISS file, or None."""
    try:
        return _problem(folder / ann.name, ann)
    except FileNotFoundError:
        return f"{folder / ann.name} is missing"


def _updated(folder: Path, segment: Segment, kind: Kind) -> Segment:
    if kind is Kind.FLAT or segment.rows < SMALLEST:
        return replace(segment, ann=None)
    if segment.ann and segment.ann.kind == kind:
        return segment
    return replace(segment, ann=_write(folder, read_segment(folder, segment)[1], kind))


def _write(folder: Path, vectors: Vectors, kind: Kind) -> AnnFile:
    import faiss

    content = faiss.serialize_index(_made(vectors, kind)).tobytes()
    digest = hashlib.sha256(content).hexdigest()
    name = f"{digest[:32]}.faiss"
    write_file(folder / name, content)
    return AnnFile(kind, name, digest)


def _made(vectors: Vectors, kind: Kind) -> Any:
    """A FAISS index of the vectors, with the settings of its searches."""
    import faiss

    lists = round(len(vectors) ** 0.5)
    factory = {Kind.SQ8: "SQ8", Kind.IVF: f"IVF{lists},SQ8", Kind.HNSW: f"HNSW{LINKS},SQ8"}
    index: Any = faiss.index_factory(vectors.shape[1], factory[kind], faiss.METRIC_INNER_PRODUCT)
    if kind is Kind.IVF:
        index.cp.max_points_per_centroid = TRAINED_ON
        index.nprobe = max(1, lists // PROBED)
    if kind is Kind.HNSW:
        index.hnsw.efSearch = BREADTH
    index.train(vectors)
    index.add(vectors)
    return index


def _problem(path: Path, ann: AnnFile) -> str | None:
    with open(path, "rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    return None if found == ann.sha256 else f"{path}: SHA-256 is {found}, not {ann.sha256}"
