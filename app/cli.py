"""The command line: collect the command groups, and turn errors into one line and an exit code."""

import importlib
import os
import sys
from typing import Any

import typer
from typer.exceptions import TyperException

COMMANDS = (
    "ask", "serve", "index", "search", "eval", "report", "train", "doctor", "worker", "experiment",
)  # fmt: skip


def build() -> typer.Typer:
    """The whole command line; command modules import fast and load what they need when they run."""
    cli = typer.Typer(
        name="orbweaver",
        help="Ask questions of your own documents; every answer shows the words it rests on.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name in COMMANDS:
        module: Any = importlib.import_module(f"app.commands.{name}")
        module.register(cli)
    return cli


def known_error(error: Exception) -> bool:
    """Whether `error` is one of ours, whose message is written for the person at the terminal."""
    roots = {"OrbweaverError", "RetrievalError", "JambaError"}
    return any(cls.__name__ in roots for cls in type(error).__mro__)


def main() -> None:
    """Run the command line; exit 0 on success, 1 on an error, 2 on wrong usage, 130 on Ctrl-C."""
    from app.console import say

    # Before torch is loaded: threads that spin at a barrier starve each other on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        status = build()(standalone_mode=False)
    except typer.Exit as request:
        status = request.exit_code
    except typer.Abort:
        status = 130
    except TyperException as error:
        if message := error.format_message():  # none where the help was printed instead
            say(f"error: {message}; --help says more")
        status = error.exit_code
    except KeyboardInterrupt:
        status = 130
    except Exception as error:
        if not known_error(error):
            raise
        say(f"error: {error}")
        status = 1
    sys.exit(status if isinstance(status, int) else 0)
