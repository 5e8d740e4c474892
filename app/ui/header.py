"""The bar at the top: the collection, what can be done with it, light or dark."""

from collections.abc import Sequence

from app.library import Collection
from app.ui.escape import Html, html, join


def bar(collections: Sequence[Collection], current: int | None, notices: Sequence[str]) -> Html:
    """The whole bar; `notices` are lines a person should see whatever they are doing."""
    return html(
        '<header class="bar"><span class="brand">{web}<span>Orbweaver</span></span>'
        '{pick}{menu}<span class="space"></span>{theme}</header>{notices}',
        web=_WEB,
        pick=_pick(collections, current),
        menu=_menu(next((each for each in collections if each.id == current), None)),
        theme=_THEME,
        notices=join(
            html('<p class="notice" role="status">{text}</p>', text=text) for text in notices
        ),
    )


_WEB = html(
    '<svg viewBox="0 0 24 24" width="22" height="22" aria-hidden="true" fill="none" '
    'stroke="currentColor" stroke-width="1.4" stroke-linecap="round">'
    '<path d="M12 2v20M2 12h20M5 5l14 14M19 5 5 19"/>'
    '<path d="M12 7.2 15.4 8.6 16.8 12 15.4 15.4 12 16.8 8.6 15.4 7.2 12 8.6 8.6Z"/></svg>'
)
_THEME = html(
    '<button type="button" class="icon" data-local="theme" title="Light or dark" '
    'aria-label="Switch between light and dark"><svg viewBox="0 0 24 24" width="18" height="18" '
    'aria-hidden="true" fill="none" stroke="currentColor" stroke-width="1.6">'
    '<circle cx="12" cy="12" r="8.5"/><path d="M12 3.5v17a8.5 8.5 0 0 0 0-17Z" '
    'fill="currentColor"/></svg></button>'
)


def _pick(collections: Sequence[Collection], current: int | None) -> Html:
    options = join(
        html(
            '<option value="{id}"{selected}>{name}</option>',
            id=each.id,
            selected=html(" selected") if each.id == current else Html(),
            name=each.name,
        )
        for each in collections
    )
    return html(
        '<label class="pick"><span class="unseen">Collection</span>'
        '<select data-action="collection" aria-label="Collection">{options}</select></label>',
        options=options,
    )


def _menu(current: Collection | None) -> Html:
    return html(
        '<details class="menu"><summary aria-label="Collections: new, rename, delete">⋯</summary>'
        '<div><button type="button" data-action="new-collection" '
        'data-prompt="Name of the new collection">New collection</button>{more}</div></details>',
        more=Html() if current is None else _for_this(current),
    )


def _for_this(current: Collection) -> Html:
    return html(
        '<button type="button" data-action="rename-collection" data-prompt="Rename this collection"'
        ' data-value="{name}">Rename</button>'
        '<button type="button" data-action="delete-collection" data-yes="Delete" '
        'data-confirm="{question}">Delete</button>',
        name=current.name,
        question=f"Delete “{current.name}” with its {current.documents} documents and its chats?",
    )
