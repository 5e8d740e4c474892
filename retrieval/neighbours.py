"""For many vectors, the nearest of the others: exact, by inner product, with FAISS."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

BATCH = 256  # vectors that are compared with all others at once
DECIMALS = 6  # scores that agree so far are ties


def nearest_others(
    vectors: NDArray[np.float32], rows: Sequence[int], k: int
) -> Iterator[list[tuple[int, float]]]:
    """For the vector at each of `rows` its `k` nearest others as (row, inner product), best first.

    `vectors` are (n, d); ties by row. Searched some at a time, as they are asked for.
    """
    import faiss

    wanted = min(k + 1, len(vectors))  # one of them is itself
    for first in range(0, len(rows), BATCH):
        block = list(rows[first : first + BATCH])
        scores, found = faiss.knn(vectors[block], vectors, wanted, faiss.METRIC_INNER_PRODUCT)
        rounded = np.round(scores.astype(np.float64), DECIMALS).tolist()
        for row, *hits in zip(block, found.tolist(), rounded, strict=True):
            pairs = sorted(zip(*hits, strict=True), key=lambda hit: (-hit[1], hit[0]))
            yield [hit for hit in pairs if hit[0] != row][:k]
