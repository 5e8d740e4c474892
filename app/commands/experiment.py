"""experiment: runs one experiment that was started on the page; the server starts it by itself."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `experiment`."""

    @app.command(hidden=True)
    def experiment(
        folder: Annotated[Path, typer.Argument(help="The experiment's folder.")],
        index: Annotated[Path, typer.Option(help="The index of its collection.")],
        model: Annotated[str | None, typer.Option(help="Folder, hub id or URL.")] = None,
        parent: Annotated[int | None, typer.Option(help="End when this process does.")] = None,
    ) -> None:
        """Run an experiment, or go on with it."""
        import os
        import threading

        os.nice(10)  # answering comes first

        from app.experiments.jobs.child import run_job
        from app.ingest.worker_process import end_with

        end_with(threading.Event(), parent)
        run_job(folder, index, model)
