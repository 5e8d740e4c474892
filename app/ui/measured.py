"""What was measured of the reader and of the model, where their folders say so."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.ui.escape import Html, html, join

READER = (
    "A small model trained for this program points at the words. It reads, it does not know: it "
    "cannot count, compare or add up. Measured on articles it never saw:"
)
MODEL = (
    "What finds the answer's words on articles that none of it was trained on: exactly the "
    "expected words, and the overlap with them (F1)."
)


def of_reader(folder: Path) -> Html:
    """How well the reader points at words."""
    measured = _read(folder / "figures.json")
    if not isinstance(measured, dict):
        return Html()
    rows = [
        (name, f"{figures['exact_match']:.0f} %", f"{figures['f1']:.0f} %")
        for name, figures in measured.items()
    ]
    heads = ("Questions", "Exactly the expected words", "Overlap (F1)")
    return _section("How well it quotes", READER, heads, rows)


def of_model(folder: Path) -> Html:
    """What reader and model find alone and together, and among how many keys it finds one."""
    lines = _read(folder / "quotes.json")
    if not isinstance(lines, list):
        return Html()
    sets = list(dict.fromkeys(line["set"] for line in lines))
    found = {(line["way"], line["set"]): line for line in lines}
    rows = [
        (way, *(_pair(found.get((way, name))) for name in sets))
        for way in dict.fromkeys(line["way"] for line in lines)
    ]
    return join(
        (
            _section(f"How well {folder.name} reads", MODEL, ("Who answers", *sets), rows),
            _of_keys(folder),
        )
    )


def _pair(line: dict[str, Any] | None) -> str:
    return "" if line is None else f"{line['exact_match']:.0f} %, F1 {line['f1']:.0f}"


def _of_keys(folder: Path) -> Html:
    lines = _read(folder / "keys.json")
    if not isinstance(lines, list):
        return Html()
    said = ", ".join(f"{line['found']:.0f} % among {line['keys']}" for line in lines)
    task = "Of values to be copied out from among pairs of random identifiers, it finds"
    return html("<p>{task} {said} pairs.</p>", task=task, said=said)


def _section(title: str, said: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    return html(
        '<h2>{title}</h2><p>{said}</p><div class="wide"><table><thead><tr>{heads}</tr></thead>'
        "<tbody>{rows}</tbody></table></div>",
        title=title,
        said=said,
        heads=join(html("<th>{head}</th>", head=head) for head in heads),
        rows=join(
            html("<tr>{cells}</tr>", cells=join(html("<td>{c}</td>", c=cell) for cell in row))
            for row in rows
        ),
    )


def _read(path: Path) -> Any:
    """A JSON file; None where there is none, or another's."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
