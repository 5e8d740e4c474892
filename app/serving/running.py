"""Starting and stopping: the socket, the worker beside the server, the sample, the end."""

import asyncio
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from app.console import progress, say
from app.ingest.worker_process import start_worker, stop_worker, worker_status
from app.library import DocumentRow, Library, State
from app.serving.security import Access
from app.settings import Settings
from app.types import OrbweaverError

FIRST_COLLECTION = "My documents"
SETTLED = frozenset({State.READY, State.FAILED})
RESTART_SECONDS = 2.0  # between a worker's end and the next one's start
CLOSING_SECONDS = 3  # for streams that are open when the server ends


class CannotListen(OrbweaverError):
    """The address cannot be listened on."""


@contextmanager
def listen(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to `host` and `port`, before anything slow is loaded. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise CannotListen(
                f"cannot listen on {host}:{port} ({error.strerror}); "
                "is it running already? --port takes another one"
            ) from None
        yield listener


@contextmanager
def keep_worker(home: Path, encoder: str | None) -> Iterator[None]:
    """A worker for as long as the block runs; one that dies is started again, if home is there."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(home, encoder, ended), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def make_sample(library: Library) -> None:
    """Add the sample collection unless it is there, and wait until its documents are read."""
    from app.sample import NAME, sample_files

    known = {each.name: each.id for each in library.collections()}
    if NAME in known:
        collection_id = known[NAME]
        _retry_failed(library, collection_id)
    else:
        collection_id = library.create_collection(NAME).id
        for path in sample_files():
            library.add_file(collection_id, path.name, path)
    _await_documents(library, collection_id)


def serve_forever(
    listener: socket.socket, settings: Settings, library: Library, access: Access
) -> None:
    """Serve page and API on `listener` until a signal; models load while the page is up already."""
    _private_uploads(settings.home)
    import uvicorn

    from app.serving.server import build_app
    from app.serving.service import Service

    if not library.collections():
        library.create_collection(FIRST_COLLECTION)
    app = build_app(Service(settings, library), access)
    config = uvicorn.Config(
        app, log_level="warning", timeout_graceful_shutdown=CLOSING_SECONDS, server_header=False
    )
    logging.getLogger("uvicorn.error").addFilter(_worth_saying)
    say(f"Orbweaver is at {_address(listener)}  (Ctrl-C stops it)")
    uvicorn.Server(config).run(sockets=[listener])


def _worth_saying(record: logging.LogRecord) -> bool:
    """Whether a log line tells a person anything; that open pages are cut off does not."""
    cut_off = record.exc_info is not None and record.exc_info[0] is asyncio.CancelledError
    return not cut_off and "graceful shutdown exceeded" not in record.getMessage()


def terminate_politely() -> None:
    """Let SIGTERM unwind the stack, so that what was started is stopped; Ctrl-C does already."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _keep(home: Path, encoder: str | None, ended: threading.Event) -> None:
    worker = start_worker(home, encoder)
    while not ended.wait(RESTART_SECONDS):
        if worker.poll() is not None and home.exists() and not worker_status(home).running:
            worker = start_worker(home, encoder)
    stop_worker(worker)


def _retry_failed(library: Library, collection_id: int) -> None:
    for row in library.documents(collection_id):
        if row.state is State.FAILED:
            library.retry(row.id)


def _await_documents(library: Library, collection_id: int) -> None:
    """Show how many documents have been read, until all have."""
    rows = library.documents(collection_id)
    if not all(row.state in SETTLED for row in rows):
        with progress() as bar:
            task = bar.add_task("Reading the sample collection", total=len(rows))
            while not all(row.state in SETTLED for row in rows):
                bar.update(task, completed=_done(rows))
                time.sleep(0.3)
                rows = library.documents(collection_id)
            bar.update(task, completed=len(rows))
    for row in rows:
        if row.state is State.FAILED:
            say(f"the sample document {row.name} cannot be read: {row.reason}")


def _done(rows: list[DocumentRow]) -> int:
    return sum(row.state in SETTLED for row in rows)


def _private_uploads(home: Path) -> None:
    """Uploads pass through the library's folder, not a temporary folder others can see."""
    folder = home / "uploads"
    shutil.rmtree(folder, ignore_errors=True)  # left by a killed server
    folder.mkdir(parents=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # read when Gradio is imported
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{named}:{port}"
