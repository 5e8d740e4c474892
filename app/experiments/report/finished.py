"""Finished runs as their folders tell of them; what is missing or damaged is named."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.experiments.run_folder import ENVIRONMENT, FORMAT, METRICS, SETTINGS, TIMING, RunError


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """What a run folder says; settings that hold settings have names such as `encoder.id`."""

    path: Path
    name: str
    kind: str
    settings: Mapping[str, Any]
    metrics: Mapping[str, Any]
    timing: Mapping[str, Any]
    started: str

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The lines of one of its JSONL files; raises RunError."""
        path = self.path / name
        try:
            return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        except (OSError, ValueError) as error:
            raise _damaged(path, error) from None


def read_run(folder: Path, name: str | None = None) -> FinishedRun:
    """A finished run, called by its folder's name; raises RunError."""
    if not (folder / SETTINGS).is_file():
        raise RunError(
            f"{folder}: is no run folder (it has no {SETTINGS}); name one that eval made"
        )
    if not (folder / METRICS).is_file():
        raise RunError(
            f"{folder}: this run is not finished; the command that began it goes on with --resume"
        )
    asked = _read(folder / SETTINGS)
    if asked.get("format") != FORMAT:
        raise RunError(f"{folder}: has format {asked.get('format')}; this version reads {FORMAT}")
    try:
        return FinishedRun(
            folder,
            name or folder.resolve().name,
            asked["kind"],
            dict(_flat(asked["settings"])),
            _read(folder / METRICS),
            _read(folder / TIMING),
            str(_read(folder / ENVIRONMENT)["started"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder / SETTINGS, error) from None


def read_runs(folders: Sequence[Path]) -> list[FinishedRun]:
    """Each folder's run, under a name of its own; raises RunError."""
    runs = [read_run(folder) for folder in folders]
    names = [run.name for run in runs]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise RunError("the same run folder is named twice")
    if len(set(names)) < len(names):
        return [read_run(folder, str(folder)) for folder in folders]
    return runs


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(found, dict):
        raise RunError(f"{path}: is no JSON object")
    return found


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path}: cannot be read ({type(error).__name__}: {error})")
