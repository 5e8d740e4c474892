"""Nearest vectors by inner product, with FAISS, in all segments of an index.

Exact where a segment has no FAISS file. What such a file finds is scored anew by the vectors
themselves, so that a passage's score never depends on how it was found.
"""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.records import Segment
from retrieval.storage.ann import open_ann
from retrieval.storage.segments import Rows, Vectors, read_segment

WIDER = 2  # times k are scored anew: neither bytes nor sums in float32 decide who is among the best
DECIMALS = 6  # scores that agree so far are ties
NOBODY = np.empty(0, np.int64)
Found = tuple[NDArray[np.float32], NDArray[np.int64]]  # (n, m) scores, and positions or -1


@dataclass(frozen=True, slots=True)
class Part:
    """A segment: `rows[i]` is the passage of vector i; both are mapped from its file."""

    rows: Rows
    vectors: Vectors
    ann: Any = None  # its FAISS file, if it has one


class DenseSearcher:
    """All segments of one generation; safe to call from any thread."""

    def __init__(
        self, folder: Path, segments: Sequence[Segment], loaded: Mapping[Segment, Part]
    ) -> None:
        """Open the segments that are not `loaded`; raises IndexDamaged, or FileNotFoundError."""
        self.parts = {s: loaded.get(s) or _load(folder, s) for s in segments}

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts.values())

    def search(
        self, queries: Vectors, k: int, rows: Sequence[int] | None = None
    ) -> list[list[tuple[int, float]]]:
        """For each of `queries` (n, d) the best `k` as (row, score), best first, ties by row.

        With `rows`, only those are looked at, exactly.
        """
        return [best([found], k) for found in self.candidates(queries, k, rows)]

    def candidates(
        self, queries: Vectors, k: int, rows: Sequence[int] | None = None
    ) -> list["Candidates"]:
        """For each of `queries` those among whom the best `k` are; `best` chooses."""
        chosen = None if rows is None else np.array(sorted(rows), np.int64)
        return _search(list(self.parts.values()), queries, k, chosen)


@dataclass(frozen=True, slots=True)
class Candidates:
    """The nearest passages that one query found in some segments, nearest first."""

    quick: NDArray[np.float32]  # (m,) scores that found them
    parts: NDArray[np.int64]  # (m,) the segment of each, by its number
    rows: Rows  # (m,)
    exact: NDArray[np.float64]  # (m,) scores by the vectors themselves


def best(found: Sequence[Candidates], k: int) -> list[tuple[int, float]]:
    """The best `k` of one query, whose segments were searched together or apart; ties by row."""
    quick = np.concatenate([each.quick for each in found])
    parts = np.concatenate([each.parts for each in found])
    rows = np.concatenate([each.rows for each in found])
    exact = np.concatenate([each.exact for each in found])
    order = np.lexsort((parts, -quick))[: WIDER * k]
    hits = zip(rows[order].tolist(), exact[order].tolist(), strict=True)
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


def _load(folder: Path, segment: Segment) -> Part:
    ann = open_ann(folder, segment.ann) if segment.ann else None
    return Part(*read_segment(folder, segment), ann)


def _search(
    parts: Sequence[Part], queries: Vectors, k: int, chosen: Rows | None = None
) -> list[Candidates]:
    if not parts:
        return [_nearest(query, [], [], k) for query in queries]
    look = functools.partial(_candidates, queries=queries, k=WIDER * k, chosen=chosen)
    found = _each(look, parts, len(queries))
    return [
        _nearest(query, parts, [(scores[i], positions[i]) for scores, positions in found], k)
        for i, query in enumerate(queries)
    ]


def _each(look: Callable[[Part], Found], parts: Sequence[Part], queries: int) -> list[Found]:
    """FAISS shares several queries among the cores; for a single one, the parts are shared."""
    if queries > 1 or len(parts) == 1:
        return [look(part) for part in parts]
    return list(_threads().map(look, parts))


@functools.cache
def _threads() -> ThreadPoolExecutor:
    import faiss

    return ThreadPoolExecutor(os.cpu_count(), "dense", lambda: faiss.omp_set_num_threads(1))


def _candidates(part: Part, queries: Vectors, k: int, chosen: Rows | None) -> Found:
    """The best `k` of one segment for each query, as far as its FAISS file can tell."""
    if chosen is not None:
        kept = np.flatnonzero(np.isin(part.rows, chosen, assume_unique=True))
        scores, positions = _exact(part.vectors[kept], queries, k)
        return scores, kept[positions]
    if part.ann is None:
        return _exact(part.vectors, queries, k)
    scores, positions = part.ann.search(queries, min(k, len(part.rows)))
    return scores, positions


def _exact(vectors: Vectors, queries: Vectors, k: int) -> Found:
    import faiss

    if not len(vectors):
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    found: Found = faiss.knn(queries, vectors, min(k, len(vectors)), faiss.METRIC_INNER_PRODUCT)
    return found


def _nearest(query: Vectors, parts: Sequence[Part], found: Sequence[Found], k: int) -> Candidates:
    """The WIDER * k best over all segments as they were found, scored by their vectors."""
    scores = np.concatenate([np.empty(0, np.float32), *(scores for scores, _ in found)])
    positions = np.concatenate([NOBODY, *(positions for _, positions in found)])
    holders = np.repeat(np.arange(len(parts)), [len(scores) for scores, _ in found])
    order = np.argsort(-scores, kind="stable")[: WIDER * k]
    order = order[positions[order] >= 0]  # FAISS pads short results with -1
    rows, exact = np.empty(len(order), np.int64), np.empty(len(order), np.float64)
    for holder in np.unique(holders[order]):
        of_holder = holders[order] == holder
        chosen = positions[order[of_holder]]
        rows[of_holder] = parts[holder].rows[chosen]
        exact[of_holder] = parts[holder].vectors[chosen].astype(np.float64) @ query
    return Candidates(scores[order], holders[order], rows, np.round(exact, DECIMALS))
