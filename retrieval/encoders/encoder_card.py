"""The model card of a trained encoder: what it was trained on, how, and what came of it."""

from collections.abc import Mapping
from typing import Any

CARD = """\
# {name}

A passage encoder trained by Orbweaver from *{start}*: {method}.

## Data
{data}
## Settings
{settings}
## Figures
{figures}
![The loss by step](loss.png)

Loss is the cross-entropy of finding each query's passage among all passages of its batch; it says
that training went well, not how well the encoder finds. Measure that with
`python -m app eval retrieval` on questions that were not trained on.

## Use

    python -m app index build SOURCE --out DIR --encoder {name}
    python -m app index reembed DIR --encoder {name}

Titles are read before the text, with {separator} between; scores are inner products.
"""


def card(
    name: str,
    data: Mapping[str, Any],
    settings: Mapping[str, Any],
    figures: Mapping[str, Any],
    separator: str,
) -> str:
    """The card in Markdown."""
    rest = {key: value for key, value in data.items() if key not in ("method", "started from")}
    return CARD.format(
        name=name,
        start=data["started from"],
        method=data["method"],
        data=_table(rest),
        settings=_table(settings),
        figures=_table(figures),
        separator=f"`{separator.strip()}`" if separator.strip() else "white space",
    )


def _table(rows: Mapping[str, Any]) -> str:
    lines = [f"| {key.replace('_', ' ')} | {_cell(value)} |" for key, value in rows.items()]
    return "\n".join(["", "| | |", "|---|---|", *lines, ""])


def _cell(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key.replace('_', ' ')} {found}" for key, found in value.items())
    return "by the model's kind" if value is None else str(value).replace("|", "\\|")
