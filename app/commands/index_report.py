"""What the `index` commands say to a person: tables on standard error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.console import say, stderr

if TYPE_CHECKING:
    from retrieval.ingest.build import BuildReport, Failure
    from retrieval.ingest.sync import SyncReport

Cells = tuple[str, str, str]  # what happened, to what, why
SHOWN = 50


def print_build(report: "BuildReport") -> None:
    """What became of the sources."""
    ready = ("ready", f"{len(report.ready)} files or corpora", "")
    _print_rows([ready, *_failures(report.failed)])
    say(
        f"{len(report.ready)} ready, {len(report.failed)} failed; the index holds"
        f" {report.passages} passages; {report.seconds.get('total', 0):.0f} s"
    )


def print_sync(report: "SyncReport", dry_run: bool) -> None:
    """What was done for each file, or is to be done."""
    rows = [
        *_failures(report.failed),
        *(("added", name, "") for name in report.added),
        *(("changed", name, "") for name in report.changed),
        *(("renamed", new, f"was {old}") for old, new in report.renamed),
        *(("removed", name, "") for name in report.removed),
    ]
    if rows:
        _print_rows(rows)
    say(
        f"{'nothing is done yet, this would be: ' if dry_run else ''}"
        f"{len(report.added)} added, {len(report.changed)} changed, {len(report.renamed)} renamed,"
        f" {len(report.removed)} removed, {report.unchanged} unchanged,"
        f" {len(report.failed)} failed; the index holds {report.passages} passages"
    )


def info_lines(folder: Path, described: dict[str, Any]) -> list[str]:
    """The manifest in words."""
    counts, encoder = described["counts"], described["encoder"]
    lines = [
        f"{folder}: format {described['format']}, generation {described['generation']}",
        f"documents  {counts['documents']}",
        f"passages   {counts['passages']}",
    ]
    if encoder is None:
        return [*lines, "encoder    none (BM25 alone)"]
    return [
        *lines,
        f"encoder    {encoder['id']} ({encoder['weight_hash'][:12]}), {encoder['dimension']} wide",
        f"cut short  {counts['truncated']} passages are longer than the encoder reads",
    ]


def _failures(failed: Sequence["Failure"]) -> list[Cells]:
    return [("failed", failure.path, failure.reason) for failure in failed]


def _print_rows(rows: Sequence[Cells]) -> None:
    """The first rows as a table; names of files are never read as markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table("state", "what", "why")
    table.columns[1].overflow = "fold"
    for row in rows[:SHOWN]:
        table.add_row(*map(Text, row))
    if len(rows) > SHOWN:
        table.add_row("", f"and {len(rows) - SHOWN} more", "see --json")
    stderr().print(table)
