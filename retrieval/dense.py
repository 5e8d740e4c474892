"""Exact nearest vectors by inner product, with FAISS: one flat index for each segment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.records import Segment
from retrieval.storage.segments import Rows, Vectors, read_segment

DECIMALS = 6  # float32 sums differ beyond this between one query and a batch of them


@dataclass(frozen=True, slots=True)
class Part:
    """A segment in memory: `rows[i]` is the passage of the index's vector i."""

    rows: Rows
    index: Any


class DenseSearcher:
    """All segments of one generation in memory; safe to call from any thread."""

    def __init__(
        self, folder: Path, segments: Sequence[Segment], loaded: Mapping[str, Part]
    ) -> None:
        """Read the segments that are not `loaded`; raises IndexDamaged, or FileNotFoundError."""
        self.parts = {s.name: loaded.get(s.name) or _load(folder, s) for s in segments}

    def __len__(self) -> int:
        return sum(len(part.rows) for part in self.parts.values())

    def search(
        self, queries: Vectors, k: int, rows: Sequence[int] | None = None
    ) -> list[list[tuple[int, float]]]:
        """For each of `queries` (n, d) the best `k` as (row, score), best first, ties by row.

        With `rows`, only those are looked at, exactly.
        """
        if not len(queries):
            return []
        chosen = None if rows is None else np.array(sorted(rows), np.int64)
        found = [_search(part, queries, k, chosen) for part in self.parts.values()]
        merged = [list(chain.from_iterable(part[i] for part in found)) for i in range(len(queries))]
        return [sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k] for hits in merged]


def _load(folder: Path, segment: Segment) -> Part:
    import faiss

    rows, vectors = read_segment(folder, segment)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return Part(rows, index)


def _search(
    part: Part, queries: Vectors, k: int, chosen: Rows | None
) -> list[list[tuple[int, float]]]:
    """The best `k` of one segment for each query, in no particular order."""
    k = min(k, len(part.rows))
    if chosen is None:
        scores, positions = part.index.search(queries, k)
    else:
        scores, positions = part.index.search(queries, k, params=_only(part, chosen))
    return [
        [
            (int(part.rows[position]), round(float(score), DECIMALS))
            for score, position in zip(*found, strict=True)
            if position >= 0  # FAISS pads short results with -1
        ]
        for found in zip(scores, positions, strict=True)
    ]


def _only(part: Part, chosen: Rows) -> Any:
    import faiss

    positions = np.flatnonzero(np.isin(part.rows, chosen, assume_unique=True))
    parameters: Any = faiss.SearchParameters
    return parameters(sel=faiss.IDSelectorBatch(positions))
