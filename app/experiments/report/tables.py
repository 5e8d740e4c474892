"""Runs of one kind in one table, each line tested against the first run's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from app.experiments.report.finished import FinishedRun
from app.experiments.report.lines import Line, compare_lines, compare_with_none, lines_of
from app.experiments.run_folder import RunError
from app.experiments.significance import LEVEL, Comparison, holm, in_words

# What has to be the same for figures to be about the same thing.
SAME_DATA = {
    "perplexity": ("text_digest",),
    "qa": ("data_digest", "questions"),
    "retrieval": ("data.sha256",),
}
# Where a run's data stands, which the digest decides, and what follows from other settings.
UNSHOWN = {
    "text", "tokens", "data", "data.path", "docs", "budgets", "questions", "model_parameters",
}  # fmt: skip
# A digest says nothing to a person: where what it is of has different names, those are shown.
DIGESTS = {
    "model_digest": "model",
    "index_digest": "index",
    "passages_digest": "passages_from",
    "index.sha256": "index.path",
    "corpus.sha256": "corpus.path",
    "encoder.sha256": "encoder.id",
}
SHOWN = 40  # characters of a setting
TOLD = {"perplexity": "perplexity a token", "qa": "F1", "retrieval": "nDCG@10"}


@dataclass(frozen=True, slots=True)
class Row:
    """A line beside the one it is tested against; the first one stands alone."""

    line: Line
    baseline: Line | None
    comparisons: Mapping[str, Comparison]  # by measure, p after Holm's correction


@dataclass(frozen=True, slots=True)
class Table:
    """All lines of one kind; `varied` are the settings in which the runs differ."""

    kind: str
    runs: tuple[FinishedRun, ...]
    rows: tuple[Row, ...]
    varied: tuple[str, ...]
    figures: tuple[str, ...]  # that every line has


def make_tables(runs: Sequence[FinishedRun]) -> list[Table]:
    """One table a kind, in the order the kinds come in; raises RunError."""
    kinds = dict.fromkeys(run.kind for run in runs)
    return [_table(kind, [run for run in runs if run.kind == kind]) for kind in kinds]


def varied(runs: Sequence[FinishedRun]) -> tuple[str, ...]:
    """The names of the settings in which runs differ, in the first one's order."""
    names = dict.fromkeys(name for run in runs for name in run.settings)
    differing = [n for n in names if any(_value(run, n) != _value(runs[0], n) for run in runs)]
    dropped = UNSHOWN | set(SAME_DATA[runs[0].kind])
    for digest, name in DIGESTS.items():
        if digest in differing:
            told = len({shown(_value(run, name)) for run in runs}) > 1
            dropped.add(digest if told else name)
        elif _value(runs[0], digest) is not None:
            dropped.add(name)  # the same thing in two places
    return tuple(name for name in differing if name not in dropped)


def shown(value: Any) -> str:
    """A setting's value as a person reads it: the last part of a path, a digest's beginning."""
    if value is None:
        return "none"
    if isinstance(value, list):
        return ",".join(map(str, value))[:SHOWN] or "none"
    text = str(value)
    if len(text) == 64 and "/" not in text:
        return text[:8]
    return (PurePath(text).name or text)[:SHOWN]


def measures_of(table: Table) -> list[str]:
    """The measures that lines are tested on."""
    return list(dict.fromkeys(name for row in table.rows for name in row.comparisons))


def sentences(table: Table, measure: str | None = None) -> list[str]:
    """The differences of one measure in words, the kind's own unless it has the one asked for."""
    measures = measures_of(table)
    told = next((name for name in (measure, TOLD[table.kind], *measures) if name in measures), "")
    said = [
        in_words(found, "no passages", f"{row.line.name} with them")
        for row in table.rows
        if (found := compare_with_none(row.line)) is not None
    ]
    for row in table.rows:
        if row.baseline is not None and told in row.comparisons:
            said.append(in_words(row.comparisons[told], row.baseline.name, row.line.name))
        elif row.baseline is not None:
            said.append(f"{row.line.name} and {row.baseline.name} {UNPAIRED[table.kind]}")
    return [*said, *([STARS] if measures else [])]


UNPAIRED = {
    "perplexity": "read the text in other tokens: only perplexities a word can be compared, and "
    "no test is possible.",
    "qa": "share no question, so no test is possible.",
    "retrieval": "share no measure, so no test is possible.",
}
STARS = (
    f"* differs by more than luck: a paired randomisation test, p < {LEVEL:g} after Holm's "
    "correction for the number of lines; intervals by a paired bootstrap."
)


def markdown(table: Table) -> str:
    """The table for a terminal or a document."""
    head = ["run", *table.varied, *table.figures]
    lines = [[row.line.name, *settings_of(table, row), *cells(table, row)] for row in table.rows]
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(each.replace('|', '/') for each in row)} |" for row in rows)


def settings_of(table: Table, row: Row) -> list[str]:
    """The settings in which the runs differ, of one line."""
    return [shown(_value(row.line.run, name)) for name in table.varied]


def cells(table: Table, row: Row) -> list[str]:
    """The figures of one line, with a star where a difference is more than luck."""
    return [_cell(row, name) for name in table.figures]


def _cell(row: Row, name: str) -> str:
    value = row.line.figures[name]
    found = row.comparisons.get(name)
    star = "*" if found is not None and found.significant else ""
    return "none" if value is None else f"{value:.2f}{star}"


def _table(kind: str, runs: Sequence[FinishedRun]) -> Table:
    of_runs = [lines_of(run) for run in runs]
    for run in runs[1:]:
        _check_same_data(runs[0], run)
    rows = _corrected([Row(*each) for each in _paired(of_runs)])
    figures = [
        name
        for name in rows[0].line.figures
        if all(name in row.line.figures for row in rows)
        and any(row.line.figures[name] is not None for row in rows)
    ]
    return Table(kind, tuple(runs), tuple(rows), varied(runs), tuple(figures))


def _paired(of_runs: Sequence[Sequence[Line]]) -> list[tuple[Line, Line | None, dict[str, Any]]]:
    """Each line with what it is tested against.

    That is the first run's line under the same condition, else its last one; the first run's own
    lines against its first.
    """
    first, *others = of_runs
    same = {line.condition: line for line in first}
    pairs: list[tuple[Line, Line | None]] = [(first[0], None)]
    pairs += [(line, first[0]) for line in first[1:]]
    pairs += [(line, same.get(line.condition, first[-1])) for lines in others for line in lines]
    return [
        (line, against, {} if against is None else compare_lines(against, line))
        for line, against in pairs
    ]


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """The rows with each measure's p made larger for the number of rows that are tested."""
    found = [dict(row.comparisons) for row in rows]
    for name in dict.fromkeys(name for each in found for name in each):
        tested = [each for each in found if name in each]
        for each, p in zip(tested, holm([each[name].p for each in tested]), strict=True):
            each[name] = replace(each[name], p=p)
    return [replace(row, comparisons=each) for row, each in zip(rows, found, strict=True)]


def _check_same_data(first: FinishedRun, run: FinishedRun) -> None:
    """Raise RunError where two runs are about different things, naming the setting."""
    for name in SAME_DATA[first.kind]:
        if _value(run, name) != _value(first, name):
            ours, theirs = (_named(each, name) for each in (first, run))
            raise RunError(
                f"{run.name} and {first.name} ran on different data: {name} is {theirs}, not {ours}"
            )
    if first.metrics.get("words") != run.metrics.get("words"):
        raise RunError(
            f"{run.name} and {first.name} ran on different data: {run.metrics['words']} words of "
            f"the text, not {first.metrics['words']}; use the same --max-tokens and tokenizer"
        )


def _named(run: FinishedRun, name: str) -> str:
    """A setting's value, and for a digest the file it is of."""
    file = _value(run, {"text_digest": "text", "data.sha256": "data.path"}.get(name, "data"))
    value = shown(_value(run, name))
    return f"{value} ({shown(file)})" if name != "questions" and file is not None else value


def _value(run: FinishedRun, name: str) -> Any:
    return run.settings.get(name)
