"""How well a reader reads: exact match, F1, telling answers from none, and its calibration."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from retrieval.evaluation.squad import Question, exact_match, f1_score
from retrieval.reading.reader import Calibration, Reader
from retrieval.reading.reader_data import Example


@dataclass(frozen=True, slots=True)
class ReadingScores:
    """Means over `questions`, in percent; `auroc` is of right against wrong passages, in [0, 1]."""

    questions: int
    exact_match: float
    f1: float
    auroc: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        """As it is written to a card."""
        return {name: v if v is None else round(v, 3) for name, v in asdict(self).items()}


def read_gold(reader: Reader, questions: Sequence[Question]) -> tuple[ReadingScores, list[float]]:
    """Scores with each question's own passage, and the log odds of each question's best span."""
    exact, overlap, odds = [], [], []
    for question in questions:
        (span,) = reader.read(question.text, [question.context])
        words = "" if span is None else question.context[span.start : span.end]
        golds = [answer.text for answer in question.answers]
        exact.append(exact_match(words, golds))
        overlap.append(f1_score(words, golds))
        odds.append(float("-inf") if span is None else span.score)
    return ReadingScores(
        len(questions), 100 * float(np.mean(exact)), 100 * float(np.mean(overlap))
    ), odds


def best_odds(reader: Reader, examples: Sequence[Example]) -> list[float]:
    """The log odds of the best span of each example's passage."""
    spans = (reader.read(each.question, [each.passage])[0] for each in examples)
    return [float("-inf") if span is None else span.score for span in spans]


def auroc(positives: Sequence[float], negatives: Sequence[float]) -> float:
    """How often a positive scores above a negative, ties half; in [0, 1]."""
    below = np.searchsorted(np.sort(negatives), positives, side="left")
    level = np.searchsorted(np.sort(negatives), positives, side="right")
    return float((below + level).mean() / 2 / len(negatives))


def calibrate(positives: Sequence[float], negatives: Sequence[float]) -> Calibration:
    """Platt scaling of raw scores: logistic regression, both kinds counting the same."""
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    scores = np.array([*positives, *negatives])[:, None]  # (n, 1)
    right = np.array([True] * len(positives) + [False] * len(negatives))
    model = LogisticRegression(C=1e6, class_weight="balanced").fit(scores, right)
    return Calibration(round(float(model.coef_[0, 0]), 4), round(float(model.intercept_[0]), 4))
