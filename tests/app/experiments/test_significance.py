"""Paired tests against cases worked out by hand and against scipy."""

import numpy as np
import pytest
from scipy import stats

from app.experiments.significance import compare, holm, in_words, randomisation_p


def test_few_differences_are_counted_out():
    # All eight ways to toss three signs: only two give a sum as far from 0 as the one seen.
    assert randomisation_p(np.array([1.0, 2.0, 3.0, 0.0])) == pytest.approx(0.25, abs=0.02)
    assert randomisation_p(np.zeros(5)) == 1.0


def test_p_is_that_of_the_t_test_for_many_questions():
    generator = np.random.default_rng(1)
    ours, theirs = generator.normal(50, 10, 300), generator.normal(51.5, 10, 300)
    found = compare("nDCG@10", list(ours), list(theirs))
    expected = stats.ttest_rel(theirs, ours)
    assert found.p == pytest.approx(expected.pvalue, abs=0.02)
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.2)
    assert compare("nDCG@10", list(ours), list(theirs)) == found


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_sentences_say_what_was_found():
    better = compare("nDCG@10", [10.0] * 40, [30.0] * 40)
    assert in_words(better, "old", "new") == (
        "nDCG@10: new is 20.00 points above old (30.00 against 10.00; 95 % interval +20.00 to"
        " +20.00; 40 questions). Luck is an unlikely explanation (p = 0.0001)."
    )
    same = compare("R@20", [1.0, 0.0], [0.0, 1.0])
    assert "may well be luck" in in_words(same, "old", "new")
    assert not same.significant
