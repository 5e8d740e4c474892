"""Standard output for results, standard error for everything else."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text


def stderr() -> Console:
    """A console on standard error, made anew so that tests may replace the stream."""
    return Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print one line for a person on standard error; the text is never read as markup."""
    stderr().print(message, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print `value` as one line of JSON on standard output, for scripts."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_text(text: str) -> None:
    """Print a result for a person on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def progress() -> Progress:
    """A progress bar on standard error: what, how many of how many, rate, time left."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        RateColumn(),
        TimeRemainingColumn(compact=True),
        console=stderr(),
    )


class RateColumn(ProgressColumn):
    """Finished units a second, once there are some."""

    def render(self, task: Task) -> Text:
        """The task's speed, or nothing while it is unknown."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s")
