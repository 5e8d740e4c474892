"""Is the difference between two runs more than luck? Paired tests, in numbers and in words."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.experiments.bootstrap import interval

Values = NDArray[np.float64]  # (questions,) in percent
ROUNDS = 9_999
CHUNK = 256  # rounds at once, so that memory stays small
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """Another run against a baseline on one measure, question by question; in percent.

    `low` and `high` bound the difference of the means (95 %), `p` is two-sided.
    """

    measure: str
    questions: int
    baseline: float
    other: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        """How far the other run is above the baseline."""
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
    return Comparison(measure, len(ours), float(ours.mean()), float(theirs.mean()), low, high, p)


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
        f"{found.measure}: {other} is {abs(found.difference):.2f} points {side} {baseline}"
        f" ({found.other:.2f} against {found.baseline:.2f}; 95 % interval {found.low:+.2f} to"
        f" {found.high:+.2f}; {found.questions} questions)."
    )
    if found.significant:
        return f"{sentence} Luck is an unlikely explanation (p = {found.p:.4f})."
    return f"{sentence} That may well be luck (p = {found.p:.2f}): call it a tie."
