"""Is the difference between two runs more than luck? Paired tests, in numbers and in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from app.experiments.bootstrap import interval

Values = NDArray[np.float64]  # (questions,) in percent, or (tokens,) in nats
ROUNDS = 9_999
CHUNK = 256  # rounds at once, so that memory stays small
LEVEL = 0.05


class Unit(StrEnum):
    """What a difference is told in."""

    POINTS = "points"  # of measures in percent
    PERCENT = "%"  # of the baseline, for perplexities


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another run against a baseline on one measure, item by item.

    `low` and `high` bound the difference (95 %), `p` is two-sided.
    """

    measure: str
    items: str  # how many of what: "40 questions"
    baseline: float
    other: float
    low: float
    high: float
    p: float
    unit: Unit = Unit.POINTS

    @property
    def difference(self) -> float:
        """How far the other run is above the baseline, in its unit."""
        if self.unit is Unit.PERCENT:
            return 100 * (self.other / self.baseline - 1)
        return self.other - self.baseline

    @property
    def significant(self) -> bool:
        """Whether luck is an unlikely explanation, at the 5 % level."""
        return self.p < LEVEL


def compare(measure: str, baseline: Sequence[float], other: Sequence[float]) -> Comparison:
    """A paired bootstrap for the interval, a paired randomisation test for p.

    Both hold one value a question, in the same order. (Smucker et al., CIKM 2007: with a few dozen
    questions both agree with Student's t; they assume less.)
    """
    ours, theirs = np.asarray(baseline, np.float64), np.asarray(other, np.float64)
    low, high = interval([ours, theirs], lambda a, b: b - a)
    p = randomisation_p(theirs - ours)
    items = f"{len(ours)} questions"
    return Comparison(measure, items, float(ours.mean()), float(theirs.mean()), low, high, p)


def compare_losses(
    measure: str, baseline: Values, other: Values, *, tokens_a_block: int
) -> Comparison:
    """Perplexities of the same tokens, from their losses (tokens,) in nats; the same two tests.

    Losses of neighbours depend on each other, so blocks of them are drawn and tossed whole.
    """
    low, high = interval(
        [baseline, other], lambda a, b: 100 * np.expm1(b - a), block=tokens_a_block
    )
    starts = np.arange(0, len(baseline), tokens_a_block)
    p = randomisation_p(np.add.reduceat(other - baseline, starts))
    items = f"{len(baseline)} tokens in blocks of {tokens_a_block}"
    perplexities = float(np.exp(baseline.mean())), float(np.exp(other.mean()))
    return Comparison(measure, items, *perplexities, low, high, p, Unit.PERCENT)


def randomisation_p(differences: Values, rounds: int = ROUNDS, seed: int = 0) -> float:
    """How often a mean this far from 0 comes up when each difference's sign is a coin's toss."""
    moved = differences[differences != 0]  # (m,)
    if not len(moved):
        return 1.0
    generator = np.random.default_rng(seed)
    seen = abs(float(moved.sum())) * (1 - 1e-12)  # equal sums may differ in their last bits
    as_far = 0
    for start in range(0, rounds, CHUNK):
        size = (min(CHUNK, rounds - start), len(moved))
        signs = generator.integers(0, 2, size, np.int8) * 2.0 - 1.0
        as_far += int((np.abs(signs @ moved) >= seen).sum())
    return (1 + as_far) / (rounds + 1)


def holm(ps: Sequence[float]) -> list[float]:
    """Each p, made larger for the number of comparisons (Holm, 1979), in the order given."""
    order = sorted(range(len(ps)), key=lambda at: ps[at])
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, at in enumerate(order):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[at]))
        adjusted[at] = largest
    return adjusted


def in_words(found: Comparison, baseline: str, other: str) -> str:
    """One plain sentence or two for a reader who knows no statistics."""
    side = "above" if found.difference >= 0 else "below"
    sentence = (
        f"{found.measure}: {other} is {abs(found.difference):.2f} {found.unit} {side} {baseline}"
        f" ({found.other:.2f} against {found.baseline:.2f}; 95 % interval {found.low:+.2f} to"
        f" {found.high:+.2f}; {found.items})."
    )
    if found.significant:
        return f"{sentence} Luck is an unlikely explanation (p = {found.p:.4f})."
    return f"{sentence} That may well be luck (p = {found.p:.2f}): call it a tie."
