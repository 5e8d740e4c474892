"""What rows of answers come to: means, intervals, costs, and what a second pass gained."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.experiments.bootstrap import interval
from app.experiments.qa.asking import Row, predicted
from app.experiments.significance import compare
from app.types import Outcome
from retrieval.evaluation.squad import exact_match, f1_score


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over questions in percent, with 95 % intervals, and what it cost."""
    answerable = [row for row in rows if any(row.answers)]
    impossible = [row for row in rows if not any(row.answers)]
    return {
        "em": _percent([row.em for row in rows]),
        "f1": _percent([row.f1 for row in rows]),
        "intervals": {
            name: interval([np.array([getattr(row, name) for row in rows])], lambda m: 100 * m)
            for name in ("em", "f1")
        },
        "questions": len(rows),
        "answer_in_context": _percent([row.answer_in_context for row in answerable]),
        "abstained": {
            "answerable": _percent([row.abstained for row in answerable]),
            "unanswerable": _percent([row.abstained for row in impossible]),
        },
        "unanswerable_questions": len(impossible),
        "prompts_cut": sum(row.cut for row in rows),
        "passages_read": float(np.mean([row.read for row in rows])),
        "passages_dropped": float(np.mean([len(row.dropped) for row in rows])),
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "cached_tokens": sum(row.cached_tokens for row in rows),
        "written_tokens": sum(row.written_tokens for row in rows),
        "seconds": _latency([row.seconds for row in rows]),
        "recursive": _second_pass(rows),
    }


def _second_pass(rows: Sequence[Row]) -> dict[str, Any] | None:
    """What several drafts gained over the first alone, paired, and the sums of what they cost more.

    None where there was one draft a question.
    """
    passes = [row.second for row in rows if row.second is not None]
    if len(passes) < len(rows):
        return None
    outcomes = Counter(each.outcome for each in passes)
    return {
        **{name: _gain(name, rows) for name in ("em", "f1")},
        "differed": _percent([each.outcome is not Outcome.AGREED for each in passes]),
        "outcomes": {outcome.value: outcomes[outcome] for outcome in Outcome},
        "extra": {
            name: sum(getattr(each, name) for each in passes)
            for name in ("prompt_tokens", "cached_tokens", "written_tokens", "seconds")
        },
    }


def _gain(measure: str, rows: Sequence[Row]) -> dict[str, float]:
    """One measure of the first drafts and of the answers, with the interval of the difference."""
    score = {"em": exact_match, "f1": f1_score}[measure]
    firsts = [
        100 * score(predicted(row.second.drafts[0]), row.answers) for row in rows if row.second
    ]
    found = compare(measure, firsts, [100 * getattr(row, measure) for row in rows])
    return {
        "first": found.baseline,
        "gain": found.difference,
        "low": found.low,
        "high": found.high,
        "p": found.p,
    }


def _percent(values: Sequence[float]) -> float | None:
    """The mean in percent; None over no questions."""
    return 100 * float(np.mean(values)) if values else None


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    """Seconds a question: the mean, the median, and what 95 % stay below."""
    median, high = np.percentile(seconds, [50, 95])
    return {"mean": float(np.mean(seconds)), "median": float(median), "p95": float(high)}
