"""Intervals by resampling, with a seed; blocks of neighbours stay together, as they depend."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
SAMPLES = 2000
LEVEL = 0.95


def interval(
    values: Sequence[Array],
    statistic: Callable[..., Array],
    *,
    block: int = 1,
    seed: int = 0,
) -> tuple[float, float]:
    """The 95 % interval of a statistic of means over items that are drawn again and again.

    `values` are arrays (n,) of the same items, drawn together so that differences are paired;
    `statistic` gets the mean of each, (SAMPLES,) at once. Blocks of `block` items are drawn whole.
    """
    count = len(values[0])
    starts = np.arange(0, count, block)
    sizes = np.diff([*starts, count])
    sums = [np.add.reduceat(np.asarray(each, np.float64), starts) for each in values]
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(starts), size=(SAMPLES, len(starts)))
    means = [total[drawn].sum(axis=1) / sizes[drawn].sum(axis=1) for total in sums]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(statistic(*means), [tail, 1 - tail])
    return float(low), float(high)
