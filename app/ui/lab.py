"""What the Experiments tab does when something is clicked: start, stop, delete, compare."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.experiments.errors import ExperimentError
from app.experiments.jobs.job import Experiment, Job, Kind, Size
from app.experiments.report.document import body
from app.experiments.report.report import make_report
from app.library.documents import display_name
from app.serving.service import Service
from app.types import OrbweaverError
from app.ui import experiments
from app.ui.escape import Html
from app.ui.place import Place, number
from retrieval.types import Mode

SAME = gr.skip()
COMPARED = 12  # experiments in one report on the page


class View(NamedTuple):
    """What the tab shows, in the order of the outputs of its events."""

    file: Any = SAME
    notes: Any = SAME
    board: Any = SAME
    comparison: Any = SAME
    drawn: Any = SAME  # what the timer compares with, to redraw only what changed


class Lab:
    """The tab's actions over the experiments of one service."""

    def __init__(self, service: Service) -> None:
        self._service, self._shelf = service, service.experiments
        self._actions = {
            "stop-experiment": self._stop,
            "go-on": self._go_on,
            "delete-experiment": self._delete,
            "compare": self._compare,
            "close-report": self._close,
        }

    def arrive(self) -> View:
        """The page was opened."""
        return self._view(notes=Html(), comparison=Html())

    def hint(self, kind: str) -> Html:
        """What an experiment of this kind tells."""
        return experiments.hint(Kind(kind), self._service.models.remote_host())

    def start(self, place: Place, kind: str, path: str | None, mode: str, size: str) -> View:
        """Begin an experiment over the collection at `place` with the file that was dropped."""
        try:
            self._start(place, Kind(kind), path, Mode(mode), Size(size))
        except OrbweaverError as error:
            return self._view(notes=experiments.notes(str(error)))
        if path is not None:
            Path(path).unlink(missing_ok=True)  # Gradio's copy; the experiment has its own
        return self._view(file=None, notes=Html())

    def act(self, data: Mapping[str, Any]) -> View:
        """Do what a button says."""
        try:
            return self._actions[data["action"]](data)
        except OrbweaverError as error:
            return self._view(notes=experiments.notes(str(error)))

    def refresh(self, drawn: str) -> tuple[Any, Any]:
        """The board, if it changed since `drawn`."""
        found = self._shelf.all()
        now = _digest(found)
        return (SAME, SAME) if now == drawn else (experiments.board(found), now)

    def _start(self, place: Place, kind: Kind, path: str | None, mode: Mode, size: Size) -> None:
        library = self._service.library
        if place.collection is None or library.collection(place.collection).ready == 0:
            raise ExperimentError("there are no documents to search yet: add some first")
        if path is None or not Path(path).exists():  # taken by a click before this one
            raise ExperimentError("add a file first")
        over, name = library.collection(place.collection).name, display_name(Path(path).name)
        job = Job(kind, place.collection, over, name, mode, size, time.time())
        self._shelf.start(job, Path(path), library.index_path(place.collection))

    def _stop(self, data: Mapping[str, Any]) -> View:
        self._shelf.stop(_id(data))
        return self._view(notes=Html())

    def _go_on(self, data: Mapping[str, Any]) -> View:
        library, job = self._service.library, self._shelf.one(_id(data)).job
        library.collection(job.collection)  # raises NotFound
        self._shelf.go_on(_id(data), library.index_path(job.collection))
        return self._view(notes=Html())

    def _delete(self, data: Mapping[str, Any]) -> View:
        self._shelf.erase(_id(data))
        return self._view(notes=Html(), comparison=Html())

    def _compare(self, data: Mapping[str, Any]) -> View:
        numbers = chosen(data.get("chosen", ()))
        report = make_report([self._shelf.finished(each) for each in numbers])
        query = "&".join(f"run={each}" for each in numbers)
        return View(notes=Html(), comparison=experiments.comparison(body(report), query))

    def _close(self, data: Mapping[str, Any]) -> View:
        return View(comparison=Html())

    def _view(self, **changes: Any) -> View:
        found = self._shelf.all()
        return View(board=experiments.board(found), drawn=_digest(found), **changes)


def chosen(values: Sequence[str]) -> list[int]:
    """The numbers of the experiments to compare; raises ExperimentError."""
    numbers = sorted({found for value in values if (found := number(str(value))) is not None})
    if not numbers:
        raise ExperimentError("tick the finished experiments to compare")
    if len(numbers) > COMPARED:
        raise ExperimentError(f"at most {COMPARED} experiments can be compared at once")
    return numbers


def _digest(found: Sequence[Experiment]) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _id(data: Mapping[str, Any]) -> int:
    found = number(data.get("id"))
    if found is None:
        raise ExperimentError("that is not there any more; reload the page")
    return found
