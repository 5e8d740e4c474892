"""The choice of files an answer is limited to; none chosen means all of them."""

from collections.abc import Collection, Sequence

from app.library import DocumentRow, State
from app.ui.escape import Html, html, join
from app.ui.marks import count

FEW = 8  # files that are found at a glance
SHOWN = 500
_FIND = html('<input type="search" data-find placeholder="Find a file" aria-label="Find a file">')


def picker(rows: Sequence[DocumentRow], chosen: Collection[str]) -> Html:
    """A list of the ready documents to tick, folded under its summary."""
    ready = [row for row in rows if row.state is State.READY]
    if not ready:
        return Html()
    return html(
        '<details class="scope menu"><summary><span data-chosen>{summary}</span></summary>'
        '<div role="group" aria-label="Answer only from these files">{find}{boxes}</div>'
        "</details>",
        find=_FIND if len(ready) > FEW else Html(),
        summary=f"Only {count(len(chosen), 'file')}" if chosen else "All files",
        boxes=join(_box(row, row.digest in chosen) for row in ready[:SHOWN]),
    )


def _box(row: DocumentRow, checked: bool) -> Html:
    return html(
        '<label><input type="checkbox" data-action="limit" value="{digest}"{checked}>'
        "<bdi>{name}</bdi></label>",
        digest=row.digest,
        checked=html(" checked") if checked else Html(),
        name=row.name,
    )
