"""One folder a run: what was asked for, what it ran on, lines as they come, figures at the end.

A run that was cut short goes on from its last whole line; a finished one is never written again.
"""

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from app.types import OrbweaverError
from retrieval.storage.durable import write_file

FORMAT = 1
SETTINGS, ENVIRONMENT = "settings.json", "environment.json"
METRICS, TIMING = "metrics.json", "timing.json"
RUNS = Path("runs")  # where runs go that were given no folder
LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "pyserini", "faiss-cpu")
CHUNK = 1 << 20


class RunError(OrbweaverError):
    """A run cannot be started or gone on with; the message says what to change."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run, open for writing."""

    path: Path

    @classmethod
    def open(
        cls, path: Path | None, kind: str, settings: Mapping[str, Any], *, resume: bool
    ) -> "RunFolder":
        """Make the folder, or with `resume` go on with the same run in it; raises RunError.

        `settings` are all that decides the figures, digests of model, data and index included.
        Without a path, a new folder below `runs` is named by kind and time.
        """
        path = path or unused(RUNS / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}")
        asked = {"format": FORMAT, "kind": kind, "settings": dict(settings)}
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            _check_resumable(path, asked, resume)
        else:
            path.mkdir(parents=True, exist_ok=True)
            _write_json(path / ENVIRONMENT, environment())
            _write_json(path / SETTINGS, asked)
        return cls(path)

    def lines(self, name: str) -> list[dict[str, Any]]:
        """The whole lines of a JSONL file so far; half a line at its end is cut away."""
        path = self.path / name
        if not path.exists():
            return []
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if len(whole) < len(content):
            write_file(path, whole)
        return [json.loads(line) for line in whole.splitlines()]

    def append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add lines to a JSONL file; they are on the disk when this returns."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        with open(self.path / name, "ab") as file:
            file.write(lines.encode())
            file.flush()
            os.fsync(file.fileno())

    def finish(self, metrics: Mapping[str, Any], timing: Mapping[str, Any]) -> None:
        """Write the figures, once all else is on the disk; the folder is not written again."""
        _write_json(self.path / TIMING, {**timing, "finished": _now()})
        for path in (path for path in self.path.iterdir() if path.is_file()):
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        _write_json(self.path / METRICS, metrics)


def environment() -> dict[str, Any]:
    """Commit, versions and machine; the commit is None where this is no checkout."""
    return {
        "commit": _git("rev-parse", "HEAD"),
        "changed_since": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "libraries": {name: metadata.version(name) for name in LIBRARIES},
        "machine": {"cpu": platform.machine(), "cores": os.cpu_count()},
        "started": _now(),
    }


def digest_of(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of files, whatever order they are given in."""
    digest = hashlib.sha256()
    for path in sorted(paths, key=lambda path: path.name):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        for chunk in _chunks(path):
            digest.update(chunk)
    return digest.hexdigest()


def unused(path: Path) -> Path:
    """The path, or with a number behind it where another run began in the same second."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


def _chunks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _check_resumable(path: Path, asked: Mapping[str, Any], resume: bool) -> None:
    """Raise unless the folder holds the beginning of this very run, and going on was asked for."""
    if (path / METRICS).exists():
        raise RunError(f"{path}: holds a finished run, which is never overwritten; name another")
    try:
        there = json.loads((path / SETTINGS).read_text("utf-8"))
    except (OSError, ValueError):
        raise RunError(f"{path}: is not empty and holds no run; name another folder") from None
    if not resume:
        raise RunError(f"{path}: holds an unfinished run; --resume goes on with it")
    there, wanted = _flat(there), _flat(asked)
    for name in sorted({*there, *wanted}):
        if there.get(name) != wanted.get(name):
            raise RunError(
                f"{path}: was begun with {name} {there.get(name)!r}, not {wanted.get(name)!r}; "
                "name another folder"
            )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by name, as they come back from a file."""
    plain = json.loads(json.dumps(settings))
    return {"format": plain["format"], "kind": plain["kind"], **plain["settings"]}


def _git(*command: str) -> str | None:
    """What git says of the checkout this file stands in; None where there is none."""
    try:
        done = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *command],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    write_file(path, (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode())
