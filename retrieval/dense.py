"""Exact nearest vectors by inner product, with FAISS."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retrieval.records import Segment
from retrieval.segments import Rows, Vectors, read_segment

DECIMALS = 6  # float32 sums differ beyond this between one query and a batch of them


class DenseSearcher:
    """All segments of one generation in memory; safe to call from any thread."""

    def __init__(self, folder: Path, segments: Sequence[Segment], dimension: int) -> None:
        """Read the segments; raises IndexDamaged where one is not what was written."""
        import faiss

        self._faiss = faiss
        self._index = faiss.IndexFlatIP(dimension)
        parts: list[Rows] = [np.empty(0, np.int64)]
        for segment in segments:
            rows, vectors = read_segment(folder, segment)
            self._index.add(vectors)
            parts.append(rows)
        self._rows: Rows = np.concatenate(parts)  # ascending, position -> row

    def __len__(self) -> int:
        return len(self._rows)

    def search(
        self, queries: Vectors, k: int, rows: Sequence[int] | None = None
    ) -> list[list[tuple[int, float]]]:
        """For each of `queries` (n, d) the best `k` as (row, score), best first, ties by row.

        With `rows`, only those are looked at, exactly.
        """
        k = min(k, len(self._rows))
        if k < 1 or not len(queries):
            return [[] for _ in queries]
        chosen = {} if rows is None else {"params": self._only(rows)}
        scores, positions = self._index.search(queries, k, **chosen)
        return [self._ranked(*found) for found in zip(scores, positions, strict=True)]

    def scores(self, query: Vectors, rows: Sequence[int]) -> list[float]:
        """Scores of these rows for one query (d,); all of `rows` must be in the index."""
        positions = np.searchsorted(self._rows, np.asarray(rows, np.int64))
        if not len(positions):
            return []
        vectors = self._index.reconstruct_batch(positions)  # (n, d)
        return [round(float(score), DECIMALS) for score in vectors @ query]

    def _ranked(self, scores: Any, positions: Any) -> list[tuple[int, float]]:
        found = [
            (int(self._rows[position]), round(float(score), DECIMALS))
            for score, position in zip(scores, positions, strict=True)
            if position >= 0  # FAISS pads short results with -1
        ]
        return sorted(found, key=lambda hit: (-hit[1], hit[0]))

    def _only(self, rows: Sequence[int]) -> Any:
        positions = np.searchsorted(self._rows, np.asarray(sorted(rows), np.int64))
        selector: Any = self._faiss.IDSelectorBatch(positions)
        parameters: Any = self._faiss.SearchParameters
        return parameters(sel=selector)
