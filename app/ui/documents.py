"""The Documents tab: add files, and watch each one until it is ready or says why it failed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from app.library import DocumentRow, State
from app.ui.escape import Html, html, join
from app.ui.marks import count

STATES = {
    State.QUEUED: "Queued",
    State.PARSING: "Parsing",
    State.EMBEDDING: "Embedding",
    State.READY: "Ready",
    State.FAILED: "Failed",
    State.REMOVING: "Removing",
}
SHOWN = 300  # rows; a list of thousands would be sent again at every change
EMPTY = html(
    '<div class="empty"><p>No documents here yet.</p><p>Add PDF, Word, PowerPoint, Excel, web, '
    "e-mail, Markdown or text files above. They stay on this computer.</p></div>"
)


@dataclass(frozen=True, slots=True)
class DocumentsTab:
    """The tab's components."""

    files: gr.File
    notes: gr.HTML
    listing: gr.HTML


def build(script: str) -> DocumentsTab:
    """Lay out the tab; `script` is what HTML components run."""
    return DocumentsTab(
        files=gr.File(
            file_count="multiple",
            label="Add files",
            show_label=False,
            elem_id="add-files",
            height=140,
        ),
        notes=gr.HTML(elem_id="import-notes", apply_default_css=False, js_on_load=None),
        listing=gr.HTML(EMPTY, elem_id="documents", apply_default_css=False, js_on_load=script),
    )


def listing(rows: Sequence[DocumentRow]) -> Html:
    """All documents of a collection with their states, those that need a person first."""
    if not rows:
        return EMPTY
    order = {State.FAILED: 0, State.READY: 2}
    ordered = sorted(rows, key=lambda row: (order.get(row.state, 1), row.id))
    return html(
        '<section class="documents"><h2>{total} <small>{summary}</small></h2><ul>{items}</ul>'
        "</section>",
        total=count(len(rows), "document"),
        summary=_summary(rows),
        items=join([*map(_document, ordered[:SHOWN]), _more(len(rows) - SHOWN)]),
    )


def import_notes(refused: Sequence[str]) -> Html:
    """Files that were not taken in, and why."""
    items = join(html("<li>{reason}</li>", reason=reason) for reason in refused)
    return html('<ul class="trouble" role="alert">{items}</ul>', items=items) if refused else Html()


def _more(number: int) -> Html:
    """What the list leaves out: those that need nothing from a person."""
    if number <= 0:
        return Html()
    return html('<li class="more">and {more}</li>', more=f"{number:,} more")


def _summary(rows: Sequence[DocumentRow]) -> str:
    counts = Counter(row.state for row in rows)
    return " · ".join(
        f"{counts[state]} {name.lower()}" for state, name in STATES.items() if counts[state]
    )


def _document(row: DocumentRow) -> Html:
    return html(
        '<li class="document is-{state}" data-state="{state}"><div class="about"><strong>'
        '<bdi>{name}</bdi></strong><span class="facts">{facts}</span>{reason}</div>'
        '<div class="state">{state_line}</div><div class="tools">{tools}</div></li>',
        state=row.state.value,
        name=row.name,
        facts=_facts(row),
        reason=html('<span class="reason">{reason}</span>', reason=row.reason)
        if row.reason
        else Html(),
        state_line=_state(row),
        tools=_tools(row),
    )


def _state(row: DocumentRow) -> Html:
    name = html('<span class="chip">{name}</span>', name=STATES[row.state])
    if row.state not in {State.PARSING, State.EMBEDDING}:
        return name
    return html(
        '{name}<progress max="100" value="{percent}" aria-label="{label}"></progress>',
        name=name,
        percent=round(100 * row.progress),
        label=f"{STATES[row.state]} {row.name}",
    )


def _facts(row: DocumentRow) -> str:
    facts = [_size(row.size)]
    if row.pages:
        facts.append(count(row.pages, "page"))
    if row.passages:
        facts.append(count(row.passages, "passage"))
    return " · ".join(facts)


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _tools(row: DocumentRow) -> Html:
    if row.state is State.REMOVING:
        return Html()
    retry = html(
        '<button type="button" data-action="retry" data-id="{id}" aria-label="{label}">Retry'
        "</button>",
        id=row.id,
        label=f"Retry {row.name}",
    )
    remove = html(
        '<button type="button" class="quiet" data-action="remove" data-id="{id}" '
        'data-confirm="{question}" aria-label="{label}">Remove</button>',
        id=row.id,
        question=f"Remove {row.name}? It leaves the index and every stored answer, and experiments "
        "that read it are deleted.",
        label=f"Remove {row.name}",
    )
    return join([retry, remove]) if row.state is State.FAILED else remove
