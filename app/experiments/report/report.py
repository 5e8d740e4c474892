"""A report of finished runs, made in memory as a whole."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.experiments.plots import draw
from app.experiments.report.curves import plots_of
from app.experiments.report.finished import FinishedRun
from app.experiments.report.tables import Table, make_tables, markdown, measures_of, sentences
from app.experiments.run_folder import RunError


@dataclass(frozen=True, slots=True)
class Picture:
    """A plot as a PNG; `name` is that of its file."""

    name: str
    title: str
    png: bytes


@dataclass(frozen=True, slots=True)
class Part:
    """What is said of the runs of one kind."""

    table: Table
    sentences: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Runs compared, a part a kind."""

    runs: tuple[FinishedRun, ...]
    parts: tuple[Part, ...]


def make_report(runs: Sequence[FinishedRun], measure: str | None = None) -> Report:
    """Compare runs, each kind with its own; `measure` is what is put into words.

    Raises RunError where runs are about different things, or none has the measure.
    """
    tables = make_tables(runs)
    known = list(dict.fromkeys(name for table in tables for name in measures_of(table)))
    if measure is not None and measure not in known:
        raise RunError(f"the runs cannot be compared by {measure}; they share {', '.join(known)}")
    return Report(tuple(runs), tuple(_part(table, measure) for table in tables))


def _part(table: Table, measure: str | None) -> Part:
    pictures = tuple(Picture(plot.name, plot.title, draw(plot)) for plot in plots_of(table))
    return Part(table, tuple(sentences(table, measure)), pictures)


def as_text(report: Report) -> str:
    """The tables as Markdown, and what they mean."""
    parts = ["\n".join([markdown(part.table), "", *part.sentences]) for part in report.parts]
    return "\n\n".join(parts)


def as_json(report: Report) -> list[dict[str, Any]]:
    """The tables and tests, for scripts."""
    return [
        {
            "kind": part.table.kind,
            "differ_in": list(part.table.varied),
            "lines": [
                {
                    "run": str(row.line.run.path),
                    "name": row.line.name,
                    "settings": {n: row.line.run.settings.get(n) for n in part.table.varied},
                    "figures": dict(row.line.figures),
                    "against": None if row.baseline is None else row.baseline.name,
                    "comparisons": {name: asdict(c) for name, c in row.comparisons.items()},
                }
                for row in part.table.rows
            ],
            "sentences": list(part.sentences),
            "pictures": [f"{picture.name}.png" for picture in part.pictures],
        }
        for part in report.parts
    ]
