"""Several retrieval runs in one table, each tested against the first, question by question."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app.experiments.retrieval import plots as retrieval_plots
from app.experiments.retrieval.results import PER_QUERY, RECALL
from app.experiments.run_folder import METRICS, SETTINGS, TIMING, RunError
from app.experiments.significance import LEVEL, Comparison, compare, holm, in_words


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a finished run folder says; `questions` hold every figure, from 0 to 1."""

    name: str
    data: str  # the digest of what was asked and what is right
    metrics: Mapping[str, float]  # judged
    answer_metrics: Mapping[str, float]
    curves: Mapping[str, Mapping[str, float]]
    questions: Mapping[str, Mapping[str, float]]
    median_ms: float | None

    @property
    def figures(self) -> dict[str, float]:
        """Both kinds, each under its own names."""
        return {**self.metrics, **self.answer_metrics}


@dataclass(frozen=True, slots=True)
class Row:
    """A run beside the baseline: a comparison for each measure, p after Holm's correction."""

    run: FinishedRun
    comparisons: Mapping[str, Comparison]


def read_run(folder: Path) -> FinishedRun:
    """A finished retrieval run; raises RunError for any other folder."""
    try:
        asked = json.loads((folder / SETTINGS).read_text("utf-8"))
        found = json.loads((folder / METRICS).read_text("utf-8"))
        timing = json.loads((folder / TIMING).read_text("utf-8"))
        lines = (folder / PER_QUERY).read_text("utf-8").splitlines()
        questions = {line.pop("query"): line for line in map(json.loads, lines)}
        return FinishedRun(
            folder.name,
            asked["settings"]["data"]["sha256"],
            found["metrics"],
            found["answer_metrics"],
            found["curves"],
            questions,
            timing.get("latency_ms", {}).get("p50"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{folder}: no finished run of 'eval retrieval' ({type(error).__name__}: {error})"
        ) from error


def compare_runs(runs: Sequence[FinishedRun]) -> list[Row]:
    """Each later run against the first; raises RunError where they were asked other questions."""
    first = runs[0]
    for run in runs[1:]:
        if run.questions.keys() != first.questions.keys():
            raise RunError(f"{run.name} and {first.name} were not asked the same questions")
    rows = [Row(run, _against(first, run)) for run in runs[1:]]
    corrected: list[dict[str, Comparison]] = [{} for _ in rows]
    for name in shared_measures(runs):
        ps = holm([row.comparisons[name].p for row in rows])
        for at, p in enumerate(ps):
            corrected[at][name] = replace(rows[at].comparisons[name], p=p)
    return [Row(row.run, found) for row, found in zip(rows, corrected, strict=True)]


def shared_measures(runs: Sequence[FinishedRun]) -> list[str]:
    """The measures that every run has, in the first one's order."""
    return [name for name in runs[0].figures if all(name in run.figures for run in runs)]


def table(first: FinishedRun, rows: Sequence[Row]) -> str:
    """Markdown: a line a run, a star where it differs from the first by more than luck."""
    names = shared_measures([first, *(row.run for row in rows)])
    lines = [
        f"| run | {' | '.join(names)} | ms |",
        f"|---|{'---|' * (len(names) + 1)}",
        _line(first, [f"{first.figures[name]:.2f}" for name in names]),
    ]
    for row in rows:
        stars = ["*" if row.comparisons[name].significant else "" for name in names]
        figures = [row.run.figures[name] for name in names]
        cells = [f"{figure:.2f}{star}" for figure, star in zip(figures, stars, strict=True)]
        lines.append(_line(row.run, cells))
    return "\n".join(lines)


def sentences(first: FinishedRun, rows: Sequence[Row], measure: str) -> list[str]:
    """What the table's stars mean, and the measure's differences in words."""
    names = shared_measures([first, *(row.run for row in rows)])
    if measure not in names:
        raise RunError(f"the runs have no {measure}; they share {', '.join(names)}")
    meaning = (
        f"* differs from {first.name} by more than luck: paired randomisation test over"
        f" {len(first.questions)} questions, p < {LEVEL:g} after Holm's correction."
    )
    said = [in_words(row.comparisons[measure], first.name, row.run.name) for row in rows]
    warnings = [
        f"{row.run.name} was judged by other files than {first.name}; only the questions agree."
        for row in rows
        if row.run.data != first.data
    ]
    return [meaning, *said, *warnings]


def as_json(first: FinishedRun, rows: Sequence[Row]) -> dict[str, Any]:
    """The table and the tests, for scripts."""
    return {
        "baseline": {"run": first.name, "figures": first.figures},
        "runs": [
            {
                "run": row.run.name,
                "figures": row.run.figures,
                "comparisons": {name: asdict(found) for name, found in row.comparisons.items()},
            }
            for row in rows
        ],
    }


def draw(runs: Sequence[FinishedRun], folder: Path) -> Path:
    """Every run's recall against k in one picture; ImportError where matplotlib is missing."""
    kinds = {"judged": retrieval_plots.JUDGED, "answer_string": retrieval_plots.ANSWERS}
    curves = {
        run.name: {
            kinds[kind]: {int(k): value for k, value in curve.items()}
            for kind, curve in run.curves.items()
        }
        for run in runs
    }
    folder.mkdir(parents=True, exist_ok=True)
    retrieval_plots.plot_recall(curves, folder / RECALL)
    return folder / RECALL


def _against(first: FinishedRun, run: FinishedRun) -> dict[str, Comparison]:
    """Every shared measure, over the questions that have it in both runs; in percent."""
    found = {}
    for name in shared_measures([first, run]):
        pairs = [
            (100 * ours[name], 100 * theirs[name])
            for query, ours in first.questions.items()
            if name in ours and name in (theirs := run.questions[query])
        ]
        found[name] = compare(name, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return found


def _line(run: FinishedRun, cells: Sequence[str]) -> str:
    milliseconds = "" if run.median_ms is None else f"{run.median_ms:.0f}"
    return f"| {run.name} | {' | '.join(cells)} | {milliseconds} |"
