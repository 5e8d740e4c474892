"""The nearest others, beside a plain sort of all products."""

import numpy as np
import pytest

from retrieval.neighbours import BATCH, nearest_others


def vectors(count, width=4):
    made = np.random.default_rng(0).normal(size=(count, width)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_they_are_exact_and_leave_oneself_out():
    given = vectors(BATCH + 40)
    rows = list(range(len(given)))[::-1]
    scores = given @ given.T
    np.fill_diagonal(scores, -2)
    for row, found in zip(rows, nearest_others(given, rows, 5), strict=True):
        assert [other for other, _ in found] == np.argsort(-scores[row])[:5].tolist()
        assert found[0][1] == pytest.approx(scores[row].max(), abs=1e-6)


def test_of_equals_the_first_come_first_and_there_may_be_few():
    same = np.repeat(vectors(1), 3, axis=0)
    found = [[row for row, _ in hits] for hits in nearest_others(same, [0, 2], 9)]
    assert found == [[1, 2], [0, 1]]
