"""Which pictures a report has: those of settings in which its runs differ."""

from collections.abc import Callable, Mapping, Sequence

from app.experiments.plots import Curve, Plot, Point
from app.experiments.report.finished import FinishedRun
from app.experiments.report.lines import gain
from app.experiments.report.tables import Table, shown, varied
from app.experiments.retrieval.plots import recall_plot

# Settings of perplexity runs that make an x axis, and what they are called there.
SETTINGS = {
    "stride": "stride, tokens between retrievals",
    "query_tokens": "query length, tokens",
    "doc_tokens": "passage length, tokens",
    "candidates": "passages to choose from",
}
SIZE = "model_parameters"

Groups = Mapping[str, Sequence[FinishedRun]]


def plots_of(table: Table) -> list[Plot]:
    """The pictures for one table; none where the runs differ in nothing that has an axis."""
    if table.kind == "perplexity":
        return [*_setting_plots(table.runs), *_gain_plots(table.runs)]
    if table.kind == "qa":
        return [*_answer_plots(table.runs), *_f1_gain_plots(table.runs)]
    plot = recall_plot({run.name: run.metrics["curves"] for run in table.runs})
    return [plot] if plot.curves else []


def _setting_plots(runs: Sequence[FinishedRun]) -> list[Plot]:
    """Perplexity against each setting, with passages and (dashed) without."""
    return [
        Plot(
            f"perplexity-{setting.replace('_', '-')}",
            f"Perplexity against {said.partition(',')[0]}",
            said,
            "perplexity a token",
            _perplexity_curves(runs, setting),
        )
        for setting, said in SETTINGS.items()
        if len({run.settings.get(setting) for run in runs}) > 1
    ]


def _perplexity_curves(runs: Sequence[FinishedRun], setting: str) -> tuple[Curve, ...]:
    curves: list[Curve] = []
    bare: dict[tuple[Point, ...], Curve] = {}  # runs often have it in common
    for number, (name, group) in enumerate(_groups(runs, setting).items()):
        points = _points(group, setting, _token_perplexity)
        curves.append(Curve(name or "with passages", points, number))
        without = _points(group, setting, _bare_perplexity)
        label = f"{name}, without" if name else "without"
        bare.setdefault(without, Curve(label, without, number, dashed=True))
    return (*curves, *bare.values())


def _gain_plots(runs: Sequence[FinishedRun]) -> list[Plot]:
    if not _sizes_differ(runs):
        return []
    curves = [
        Curve(name or "gain", _points(group, SIZE, _gain), number)
        for number, (name, group) in enumerate(_groups(runs, SIZE).items())
    ]
    what = "% lower perplexity a token with passages"
    return [Plot("gain-size", "Gain against model size", "parameters", what, tuple(curves))]


def _answer_plots(runs: Sequence[FinishedRun]) -> list[Plot]:
    """F1 and (dashed) exact match against the number of passages."""
    asked = _with_passages(runs)
    if len({docs for run in asked for docs in run.metrics["by_docs"]}) < 2:
        return []
    curves = [
        Curve(f"{run.name}: {measure}", _by_docs(run, key), number, dashed=key == "em")
        for number, run in enumerate(asked)
        for measure, key in (("F1", "f1"), ("exact match", "em"))
    ]
    return [Plot("answers", "Answers against passages", "passages", "percent", tuple(curves))]


def _f1_gain_plots(runs: Sequence[FinishedRun]) -> list[Plot]:
    asked = [run for run in _with_passages(runs) if "0" in run.metrics["by_docs"]]
    if not _sizes_differ(asked):
        return []
    curves = [
        Curve(name or "gain", _points(group, SIZE, _f1_gain), number)
        for number, (name, group) in enumerate(_groups(asked, SIZE).items())
    ]
    what = "F1 with most passages above F1 with none"
    return [Plot("answer-gain-size", "Gain against model size", "parameters", what, tuple(curves))]


def _with_passages(runs: Sequence[FinishedRun]) -> list[FinishedRun]:
    """Those that were asked after passages found for each question."""
    return [run for run in runs if run.metrics["mode"] == "passages"]


def _sizes_differ(runs: Sequence[FinishedRun]) -> bool:
    return len({run.settings.get(SIZE) for run in runs} - {None}) > 1


def _groups(runs: Sequence[FinishedRun], axis: str) -> dict[str, list[FinishedRun]]:
    """Runs that differ in the axis alone, by what else they are; the model is its own size."""
    along = {axis, "model", "model_digest"} if axis == SIZE else {axis}
    names = [name for name in varied(runs) if name not in along]
    groups: dict[str, list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(", ".join(shown(run.settings.get(n)) for n in names), []).append(run)
    return groups


def _points(
    runs: Sequence[FinishedRun], axis: str, at: Callable[[FinishedRun, float], Point | None]
) -> tuple[Point, ...]:
    found = [
        point
        for run in runs
        if run.settings.get(axis) is not None
        and (point := at(run, float(run.settings[axis]))) is not None
    ]
    return tuple(sorted(found, key=lambda point: (point.x, point.y)))


def _token_perplexity(run: FinishedRun, x: float) -> Point | None:
    """With the interval of its distance from reading without passages, whose tokens are the same.

    Its own interval is several times as wide: some tokens are much harder than others.
    """
    value = run.metrics["token_perplexity"]
    bare = run.metrics["without_retrieval"]["token_perplexity"]
    if value is None or bare is None:
        return None
    low, high = run.metrics["intervals"]["ratio"]
    return Point(x, value, bare * low, bare * high)


def _bare_perplexity(run: FinishedRun, x: float) -> Point | None:
    value = run.metrics["without_retrieval"]["token_perplexity"]
    return None if value is None else Point(x, value)


def _gain(run: FinishedRun, x: float) -> Point | None:
    value = gain(run)
    low, high = run.metrics["intervals"]["ratio"]
    return None if value is None else Point(x, value, 100 * (1 - high), 100 * (1 - low))


def _f1_gain(run: FinishedRun, x: float) -> Point | None:
    by_docs = run.metrics["by_docs"]
    most = max(by_docs, key=int)
    return Point(x, by_docs[most]["f1"] - by_docs["0"]["f1"])


def _by_docs(run: FinishedRun, measure: str) -> tuple[Point, ...]:
    found = run.metrics["by_docs"].items()
    points = [Point(int(n), each[measure], *each["intervals"][measure]) for n, each in found]
    return tuple(sorted(points, key=lambda point: point.x))
