"""Small pieces of HTML that several parts of the page share."""

from app.types import Citation, RetrievedPassage
from app.ui.escape import Html, html


def show_button(kind: str, label: Html, target: Citation | RetrievedPassage, spoken: str) -> Html:
    """A button that opens a document at exact words; `spoken` is what a screen reader says."""
    return html(
        '<button type="button" class="{kind}" data-action="show" data-document="{document}" '
        'data-start="{start}" data-end="{end}" data-page="{page}" aria-label="{spoken}" '
        'title="{spoken}">{label}</button>',
        kind=kind,
        document=target.document_id,
        start=target.start,
        end=target.end,
        page="" if target.page is None else target.page,
        spoken=spoken,
        label=label,
    )


def where(document: str, page: int | None) -> str:
    """A file and its page, in words."""
    return document if page is None else f"{document}, page {page}"


def seconds(value: float) -> str:
    """A duration that is as exact as a person can use."""
    return f"{value * 1000:.0f} ms" if value < 0.995 else f"{value:.1f} s"


def count(number: int, noun: str) -> str:
    """'1 page', '3 pages'."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
