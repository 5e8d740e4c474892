"""Runs as the lines of a table: their figures, and the items that these are means of.

A run has one line, or, if it asked questions after several numbers of passages, one for each.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.experiments.perplexity.metrics import BLOCK
from app.experiments.perplexity.run import LOSSES
from app.experiments.qa.run import PREDICTIONS
from app.experiments.report.finished import FinishedRun
from app.experiments.retrieval.results import PER_QUERY
from app.experiments.run_folder import RunError
from app.experiments.significance import Comparison, Values, compare, compare_losses

TOKEN, WORD, BARE = "perplexity a token", "perplexity a word", "a token without passages"
GAIN = "% lower with passages"
CONDITIONS = {"by_docs": "docs", "by_budget": "budget"}  # in metrics, and in predictions

Questions = Mapping[str, Mapping[str, float]]  # percent by measure and question


@dataclass(frozen=True, slots=True)
class Line:
    """One line; `questions` or `losses` (2, tokens: with passages and without) are its items."""

    run: FinishedRun
    condition: str  # empty where the run has one line
    figures: Mapping[str, float | None]
    questions: Questions | None = None
    losses: Values | None = None

    @property
    def name(self) -> str:
        """The run, and under which condition."""
        return f"{self.run.name}, {self.condition}" if self.condition else self.run.name


def perplexity_lines(run: FinishedRun) -> list[Line]:
    """One line; raises RunError."""
    try:
        losses = np.load(run.path / LOSSES, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise RunError(f"{run.path / LOSSES}: cannot be read ({error})") from None
    ours, bare = run.metrics["token_perplexity"], run.metrics["without_retrieval"]
    figures = {
        WORD: run.metrics["word_perplexity"],
        TOKEN: ours,
        BARE: bare["token_perplexity"],
        GAIN: gain(run),
    }
    return [Line(run, "", figures, losses=np.nan_to_num(losses.astype(np.float64)))]


def gain(run: FinishedRun) -> float | None:
    """By how many percent the perplexity of a token is lower with passages than without."""
    ours = run.metrics["token_perplexity"]
    bare = run.metrics["without_retrieval"]["token_perplexity"]
    return None if ours is None or bare is None else 100 * (1 - ours / bare)


def qa_lines(run: FinishedRun) -> list[Line]:
    """A line for each number of passages, and for each budget of tokens; raises RunError."""
    rows = run.lines(PREDICTIONS)
    lines = []
    for name, key in CONDITIONS.items():
        for number, found in run.metrics.get(name, {}).items():
            asked = [row for row in rows if str(row.get(key)) == number]
            lines.append(_qa_line(run, _condition(run, key, number), found, asked))
    return lines


def _qa_line(
    run: FinishedRun, condition: str, found: Mapping[str, Any], asked: Sequence[Mapping[str, Any]]
) -> Line:
    figures = {
        "EM": found["em"],
        "F1": found["f1"],
        "answer in context": found["answer_in_context"],
        "seconds": found["seconds"]["median"],
    }
    scores = {
        name: {row["id"]: 100.0 * row[key] for row in asked}
        for name, key in (("EM", "em"), ("F1", "f1"))
    }
    return Line(run, condition, figures, scores)


def retrieval_lines(run: FinishedRun) -> list[Line]:
    """One line; figures count judged documents or answer strings, each by its own name."""
    latency = run.timing.get("latency_ms", {}).get("p50")
    figures = {**run.metrics["metrics"], **run.metrics["answer_metrics"], "ms": latency}
    rows = {row.pop("query"): row for row in run.lines(PER_QUERY)}
    measures = {
        name: {query: 100.0 * row[name] for query, row in rows.items() if name in row}
        for name in figures
        if name != "ms"
    }
    return [Line(run, "", figures, measures)]


LINES: dict[str, Callable[[FinishedRun], list[Line]]] = {
    "perplexity": perplexity_lines,
    "qa": qa_lines,
    "retrieval": retrieval_lines,
}


def lines_of(run: FinishedRun) -> list[Line]:
    """The run's lines; raises RunError for a kind that is not known, or a damaged folder."""
    if run.kind not in LINES:
        raise RunError(f"{run.path}: holds a run of the unknown kind '{run.kind}'")
    try:
        return LINES[run.kind](run)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{run.path}: its files do not belong together ({type(error).__name__}: {error})"
        ) from None


def compare_lines(first: Line, other: Line) -> dict[str, Comparison]:
    """Every measure whose items both lines share; none where tokens are not the same ones."""
    if first.losses is not None and other.losses is not None:
        if first.losses.shape != other.losses.shape:
            return {}
        return {
            TOKEN: compare_losses(TOKEN, first.losses[0], other.losses[0], tokens_a_block=BLOCK)
        }
    return dict(_compare_questions(first.questions or {}, other.questions or {}))


def compare_with_none(line: Line) -> Comparison | None:
    """What passages do to a text's perplexity, against none; None for questions."""
    if line.losses is None:
        return None
    return compare_losses(TOKEN, line.losses[1], line.losses[0], tokens_a_block=BLOCK)


def _compare_questions(first: Questions, other: Questions) -> list[tuple[str, Comparison]]:
    found = []
    for name in (name for name in first if name in other):
        both = [question for question in first[name] if question in other[name]]
        if both:
            ours, theirs = [first[name][q] for q in both], [other[name][q] for q in both]
            found.append((name, compare(name, ours, theirs)))
    return found


def _condition(run: FinishedRun, key: str, number: str) -> str:
    mode = run.metrics["mode"]
    if mode != "passages":
        return str(mode)
    if key == "budget":
        return f"{number} tokens"
    return {"0": "no passage", "1": "1 passage"}.get(number, f"{number} passages")
