"""The figures of a reader, on scores made by hand."""

import pytest

from retrieval.evaluation.squad import GoldAnswer, Question
from retrieval.reading.reader_eval import auroc, calibrate, read_gold
from retrieval.types import ReadSpan


class Pointing:
    """Reads the word behind "the"."""

    def read(self, question, passages):
        at = passages[0].index("the ") + 4
        end = passages[0].index(" ", at)
        return [ReadSpan(0, at, end, 1.5)]


def question(context: str, answer: str) -> Question:
    return Question("1", "T", 0, context, "Who?", (GoldAnswer(answer, context.index(answer)),))


def test_scores_are_means_in_percent_with_the_odds_of_each_question():
    asked = [question("Ask the miller about it.", "miller"), question("In the old mill.", "mill")]
    scores, odds = read_gold(Pointing(), asked)
    assert (scores.questions, scores.exact_match, scores.f1) == (2, 50.0, 50.0)
    assert odds == [1.5, 1.5]


@pytest.mark.parametrize(
    ("positives", "negatives", "area"),
    [([2, 3], [0, 1], 1.0), ([0, 1], [2, 3], 0.0), ([1], [1], 0.5), ([0, 2], [1, 1], 0.5)],
)
def test_auroc_counts_pairs_in_order_and_ties_half(positives, negatives, area):
    assert auroc(positives, negatives) == area


def test_calibration_puts_even_odds_between_the_kinds():
    found = calibrate([4.0, 5.0, 6.0, 1.0], [0.0, -1.0, -2.0, 3.0])
    assert found.scale > 0
    assert -found.shift / found.scale == pytest.approx(2.0, abs=1.0)
