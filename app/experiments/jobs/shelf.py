"""The experiments of a library: started one at a time, stopped, gone on with, taken along."""

import io
import os
import shutil
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from app.experiments.errors import ExperimentError
from app.experiments.jobs.job import (
    FAILED,
    JOB,
    PROGRESS,
    RUN,
    UPLOAD,
    Experiment,
    Job,
    State,
    look,
    write_failure,
    write_job,
)
from app.experiments.report.finished import FinishedRun, read_run
from app.ingest.worker_process import stop_worker
from app.library import NotFound
from retrieval.storage.durable import write_file

FILE_BYTES = 8 * 2**20  # of an uploaded file
KEPT = 100  # experiments
SECONDS = 3600.0  # that one may take
KILLED = "its process was killed; perhaps memory did not suffice"
UNTOLD = "its process ended without saying why; the server's terminal may tell"


@dataclass(slots=True)
class Running:
    """An experiment's process, and the thread that waits for its end."""

    process: subprocess.Popen[bytes]
    is_stopped: bool = False  # by us, so that its end is no failure
    ended: threading.Event = field(default_factory=threading.Event)


class Shelf:
    """The folder with all experiments; safe from any thread, for one server at a time."""

    def __init__(self, folder: Path, *, model: str | None = None, seconds: float = SECONDS) -> None:
        self._folder, self._model, self._seconds = folder, model, seconds
        self._running: dict[int, Running] = {}
        self._finished: dict[int, Experiment] = {}  # which change no more
        self._lock = threading.RLock()

    def all(self) -> list[Experiment]:
        """Every experiment, the latest first; what cannot be read is left out."""
        found = []
        for number in sorted(self._numbers(), reverse=True):
            with suppress(NotFound):  # being erased
                found.append(self.one(number))
        return found

    def one(self, number: int) -> Experiment:
        """One experiment; raises NotFound."""
        with self._lock:
            known, runs = self._finished.get(number), number in self._running
        if known is None:
            try:
                known = look(self._folder / str(number), runs=runs)
            except (OSError, ValueError, TypeError, KeyError):
                raise NotFound(f"there is no experiment {number} (any more)") from None
            if known.state is State.FINISHED:
                self._finished[number] = known
        return known

    def start(self, job: Job, upload: Path, index: Path) -> int:
        """Keep a copy of the uploaded file and begin; its number. Raises ExperimentError."""
        size = upload.stat().st_size
        if not 0 < size <= FILE_BYTES:
            limit = f"larger than {FILE_BYTES >> 20} MB, the limit here"
            raise ExperimentError(f"{job.file}: {limit if size else 'is empty'}")
        with self._lock:
            self._check_free()
            numbers = self._numbers()
            if len(numbers) >= KEPT:
                raise ExperimentError(f"{KEPT} experiments are kept already; delete one first")
            number = max(numbers, default=0) + 1
            folder = self._folder / str(number)
            shutil.rmtree(folder, ignore_errors=True)  # a start that was cut short
            folder.mkdir(parents=True)
            write_file(folder / UPLOAD, upload.read_bytes())
            write_job(folder, job)
            self._begin(number, index)
        return number

    def go_on(self, number: int, index: Path) -> None:
        """Go on with a stopped or failed one from where it was. Raises ExperimentError."""
        with self._lock:
            if self.one(number).state in {State.STOPPED, State.FAILED}:
                self._check_free()
                self._begin(number, index)

    def stop(self, number: int) -> None:
        """End its process; what it found so far is kept."""
        with self._lock:
            running = self._running.get(number)
        if running is not None:
            running.is_stopped = True
            stop_worker(running.process)
            running.ended.wait()

    def erase(self, number: int) -> None:
        """Delete it with all it holds."""
        self.stop(number)
        with self._lock:
            self._finished.pop(number, None)
            folder = self._folder / str(number)
            (folder / JOB).unlink(missing_ok=True)  # from now on it is none
            shutil.rmtree(folder, ignore_errors=True)

    def forget(self, collection: int, digest: str | None = None) -> None:
        """Erase the experiments over a collection, or those that name one of its documents."""
        for experiment in self.all():
            if experiment.job.collection == collection:
                self.stop(experiment.number)
                if digest is None or _names(self._folder / str(experiment.number), digest):
                    self.erase(experiment.number)

    def finished(self, number: int) -> FinishedRun:
        """Its run, to be compared. Raises NotFound or RunError."""
        return read_run(self._run_folder(number), self.one(number).name)

    def archive(self, number: int) -> bytes:
        """Its run folder as a zip. Raises NotFound."""
        run, packed = self._run_folder(number), io.BytesIO()
        with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
            for path in sorted(run.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    archive.write(path, f"experiment-{number}/{path.relative_to(run)}")
        return packed.getvalue()

    def close(self) -> None:
        """End whatever runs; it can go on later."""
        for number in list(self._running):
            self.stop(number)

    def _run_folder(self, number: int) -> Path:
        if self.one(number).state is not State.FINISHED:
            raise NotFound(f"experiment {number} has not finished")
        return self._folder / str(number) / RUN

    def _numbers(self) -> list[int]:
        names = [path.parent.name for path in self._folder.glob(f"*/{JOB}")]
        return [int(name) for name in names if name.isascii() and name.isdigit()]

    def _check_free(self) -> None:
        if self._running:
            running = ", ".join(f"#{number}" for number in self._running)
            raise ExperimentError(f"experiment {running} is running: stop it, or wait for its end")

    def _begin(self, number: int, index: Path) -> None:
        folder = self._folder / str(number)
        for name in (FAILED, PROGRESS):
            (folder / name).unlink(missing_ok=True)
        command = [sys.executable, "-m", "app", "experiment", str(folder), "--index", str(index)]
        command += ["--parent", str(os.getpid())]
        command += [] if self._model is None else ["--model", self._model]
        # A session of its own: Ctrl-C reaches the server only, which then stops what it started.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )
        running = self._running[number] = Running(process)
        threading.Thread(target=self._watch, args=(number, running), daemon=True).start()

    def _watch(self, number: int, running: Running) -> None:
        """Wait for the end, or make it; say why where the process could not."""
        try:
            status = running.process.wait(self._seconds)
            reason = KILLED if status < 0 else UNTOLD
        except subprocess.TimeoutExpired:
            stop_worker(running.process)
            status, reason = 1, f"took longer than {self._seconds / 60:g} minutes"
        folder = self._folder / str(number)
        with self._lock:
            if status and not running.is_stopped and not (folder / FAILED).exists():
                write_failure(folder, reason)
            del self._running[number]
        running.ended.set()


def _names(folder: Path, digest: str) -> bool:
    """Whether any file of an experiment names the document; its words may stand there too."""
    wanted = digest.encode()
    return any(wanted in path.read_bytes() for path in folder.rglob("*") if path.is_file())
