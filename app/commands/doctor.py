"""`doctor`: say what is installed, what works, and what to do about it."""

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    home: Annotated[Path | None, typer.Option(help="Where the library lives.")] = None,
    model: Annotated[str | None, typer.Option(help="A folder, a hub id or a URL.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Try every part and say what works; exit code 1 if something essential does not."""
    from dataclasses import asdict

    from app.console import print_json, print_text
    from app.doctor import State, run_checks
    from app.settings import load_settings

    checks = run_checks(load_settings(home=home, model=model))
    healthy = all(check.state is not State.FAIL for check in checks)
    if json:
        print_json({"ok": healthy, "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            print_text(f"{check.state:<5} {check.name:<9} {check.detail}")
            if check.advice:
                print_text(f"{'':15} -> {check.advice}")
    raise typer.Exit(0 if healthy else 1)
