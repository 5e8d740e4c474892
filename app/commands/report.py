"""report: finished runs beside each other, and whether they differ by more than luck."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `report`."""

    @app.command()
    def report(
        runs: Annotated[
            list[Path], typer.Argument(metavar="RUN...", help="Run folders that `eval` finished.")
        ],
        out: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="A new folder.", show_default="below runs/"),
        ] = None,
        measure: Annotated[
            str | None, typer.Option(help="What is put into words.", show_default="the kind's main")
        ] = None,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Compare runs of any kind: a table a kind, each run tested against the first, pictures.

        Writes report.html, which stands alone, and its pictures as PNG.
        """
        from app.console import print_json, print_text, say
        from app.experiments.report.document import FILE, write_report
        from app.experiments.report.finished import read_runs
        from app.experiments.report.report import as_json, as_text, make_report

        made = make_report(read_runs(runs), measure)
        folder = write_report(made, out)
        if json:
            print_json({"report": str(folder), "parts": as_json(made)})
        else:
            print_text(as_text(made))
            say(f"wrote {folder / FILE}")
