"""What an encoder is trained on: batches that are functions of the seed and the step alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Triple:
    """A query, a passage that answers it, and one that does not, as the encoder reads them."""

    query: str
    positive: str
    negative: str


class Batches(Protocol):
    """Batch n of a run, at any time and in any process."""

    def __len__(self) -> int:
        """Examples an epoch."""
        ...

    def batch(self, step: int) -> list[Triple]:
        """The examples of a step, counted from 0."""
        ...


def numbers_of(step: int, size: int, examples: int, seed: int) -> list[tuple[int, int]]:
    """(epoch, example) of a step: every epoch goes through all examples in another order."""
    positions = range(step * size, (step + 1) * size)
    return [
        (at // examples, int(_order(seed, at // examples, examples)[at % examples]))
        for at in positions
    ]


def rng_of(seed: int, epoch: int, example: int) -> random.Random:
    """The random numbers of one example in one epoch."""
    return random.Random(f"{seed} {epoch} {example}")


def fresh(rng: random.Random, options: Sequence[int], taken: set[int]) -> int:
    """One of the `options`, rather not one of those `taken`.

    A passage that stands twice in a batch would be right for one query and counted wrong for
    another.
    """
    return rng.choice([option for option in options if option not in taken] or options)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, examples: int) -> NDArray[np.int32]:
    return np.random.default_rng([seed, epoch]).permutation(np.arange(examples, dtype=np.int32))
