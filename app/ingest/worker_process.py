"""The worker as a process: one per home, started and stopped by the server, its life visible."""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from app.types import OrbweaverError

LOCK_NAME = "worker.lock"
BEAT_SECONDS = 2.0
GRACE_SECONDS = 5.0  # then the process ends as it stands: every store survives that


class WorkerBusy(OrbweaverError):
    """Another worker serves this home."""


class HomeGone(OrbweaverError):
    """The folder of the library was deleted while a worker served it."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """Whether a worker holds the home, and how long ago it last gave a sign of life."""

    running: bool
    seconds_since_beat: float | None  # None where no worker ever ran


def worker_status(home: Path) -> WorkerStatus:
    """What the page shows of the worker; the lock goes with its process, however that ends."""
    path = home / LOCK_NAME
    try:
        with path.open() as file:
            age = max(0.0, time.time() - path.stat().st_mtime)
            return WorkerStatus(not _try_lock(file, shared=True), age)
    except FileNotFoundError:
        return WorkerStatus(False, None)


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """Be the one worker of `home`, with a heartbeat, until the block ends. Raises WorkerBusy."""
    path = home / LOCK_NAME
    ended = threading.Event()
    with path.open("a") as file:
        for _ in range(10):  # a status check holds the lock for a moment
            if _try_lock(file, shared=False):
                break
            time.sleep(0.05)
        else:
            raise WorkerBusy(f"{home}: another worker is running there; stop it first")
        beat = threading.Thread(target=_beat, args=(path, ended), daemon=True)
        beat.start()
        try:
            yield
        finally:
            ended.set()
            beat.join()


def check_home(home: Path) -> None:
    """Raise HomeGone if the folder that a worker serves is there no more."""
    if not (home / LOCK_NAME).exists():
        raise HomeGone(f"{home}: the library's folder is gone; its worker ends") from None


def start_worker(home: Path, encoder: str | None = None) -> subprocess.Popen[bytes]:
    """Start a worker for `home` that ends with this process at the latest."""
    command = [sys.executable, "-m", "app", "worker", "--home", str(home)]
    command += ["--parent", str(os.getpid())]
    if encoder is not None:
        command += ["--encoder", encoder]
    # A session of its own: Ctrl-C reaches the server only, which then stops its worker.
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )


def stop_worker(process: subprocess.Popen[bytes]) -> None:
    """Ask the worker to end, and make it end."""
    process.terminate()
    try:
        process.wait(GRACE_SECONDS + 2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_with(stop: threading.Event, parent: int | None) -> None:
    """Set `stop` when process `parent` is no longer ours, and leave no later than a while after."""
    threading.Thread(target=_watch, args=(stop, parent), daemon=True).start()


def _watch(stop: threading.Event, parent: int | None) -> None:
    while not stop.wait(0.5):
        if parent is not None and os.getppid() != parent:
            stop.set()
    time.sleep(GRACE_SECONDS)
    os._exit(0)  # still busy inside a commit, which is atomic: it did or did not happen


def _beat(path: Path, ended: threading.Event) -> None:
    while path.exists():  # a worker whose home is gone ends by itself
        with suppress(FileNotFoundError):
            os.utime(path)
        if ended.wait(BEAT_SECONDS):
            return


def _try_lock(file: TextIO, *, shared: bool) -> bool:
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
