"""worker: takes documents into a library's indexes; the server starts it by itself."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add `worker`."""

    @app.command(hidden=True)
    def worker(
        home: Annotated[Path | None, typer.Option(help="The library's folder.")] = None,
        encoder: Annotated[str | None, typer.Option(help="Folder or hub id.")] = None,
        parent: Annotated[int | None, typer.Option(help="End when this process does.")] = None,
        once: Annotated[bool, typer.Option("--once", help="End when nothing is left.")] = False,
    ) -> None:
        """Parse and index what is queued in a library, and take out what is removed."""
        import os
        import signal
        import threading

        os.nice(10)  # answering comes first
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
            os.environ[name] = "1"

        from app.ingest.worker import run_worker
        from app.ingest.worker_process import end_with
        from app.settings import load_settings

        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        end_with(stop, parent)
        settings = load_settings(home=home, encoder=encoder)
        run_worker(
            settings.home, stop=stop, once=once, encoder_name=settings.encoder, ocr=settings.ocr
        )
