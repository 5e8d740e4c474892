"""One experiment's folder: what was asked for, how far it is, and the run folder it makes."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.experiments.run_folder import METRICS
from retrieval.storage.durable import write_file
from retrieval.types import Mode

JOB, PROGRESS, FAILED = "job.json", "progress.json", "failed.json"
UPLOAD, RUN = "upload", "run"


class Kind(StrEnum):
    """What is measured."""

    FINDING = "finding"  # whether passages with the answer's words are found
    ANSWERING = "answering"  # whether questions are answered, without passages and with some
    READING = "reading"  # whether passages make a text less surprising


class Size(StrEnum):
    """How much of the uploaded file is used."""

    QUICK = "quick"
    THOROUGH = "thorough"


class State(StrEnum):
    """How far an experiment is; a stopped one can go on."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Job:
    """What was asked for; `file` and `over` are the names of file and collection, for people."""

    kind: Kind
    collection: int
    over: str
    file: str
    mode: Mode
    size: Size
    asked_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Progress:
    """What is being done, and how much of it is."""

    what: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment as it stands now."""

    number: int
    job: Job
    state: State
    progress: Progress | None = None  # while it runs, once it has begun
    reason: str = ""  # why it failed
    metrics: Mapping[str, Any] | None = None  # when it has finished

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return f"#{self.number} {self.job.file}"


def write_job(folder: Path, job: Job) -> None:
    """Make the folder an experiment's; nothing is one before."""
    write_file(folder / JOB, json.dumps(asdict(job)).encode())


def read_job(folder: Path) -> Job:
    """What was asked for; raises OSError or ValueError where the folder is no experiment's."""
    found = _read(folder / JOB)
    names = {"kind": Kind, "mode": Mode, "size": Size}
    return Job(**(found | {name: of(found[name]) for name, of in names.items()}))


def look(folder: Path, *, runs: bool) -> Experiment:
    """How the experiment stands, whose process `runs` or not; raises OSError or ValueError."""
    number, job = int(folder.name), read_job(folder)
    if runs:
        told = folder / PROGRESS
        progress = Progress(**_read(told)) if told.exists() else None
        return Experiment(number, job, State.RUNNING, progress)
    if (folder / RUN / METRICS).exists():
        return Experiment(number, job, State.FINISHED, metrics=_read(folder / RUN / METRICS))
    if (folder / FAILED).exists():
        return Experiment(number, job, State.FAILED, reason=_read(folder / FAILED)["reason"])
    return Experiment(number, job, State.STOPPED)


def write_failure(folder: Path, reason: str) -> None:
    """Keep why the experiment failed."""
    write_file(folder / FAILED, json.dumps({"reason": reason}).encode())


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
