"""The list of kept chats: open, rename, delete, export."""

from collections.abc import Sequence

from app.library import Chat
from app.ui.escape import Html, html, join
from app.ui.marks import count


def listing(chats: Sequence[Chat], current: int | None) -> Html:
    """The chats of a collection, the latest used first."""
    return html(
        '<nav class="chats" aria-label="Chats"><div class="top"><button type="button" '
        'class="primary" data-action="new-chat">New chat</button>{fold}</div>'
        "<ul>{items}</ul></nav>",
        fold=_fold(len(chats)) if chats else Html(),
        items=join(_chat(chat, chat.id == current) for chat in chats),
    )


def _fold(number: int) -> Html:
    """Shows and hides the list where the page is one column."""
    return html(
        '<button type="button" class="fold" data-local="chats">{count}</button>',
        count=count(number, "chat"),
    )


def _chat(chat: Chat, current: bool) -> Html:
    return html(
        '<li class="chat{is_current}"><button type="button" class="open" data-action="open-chat" '
        'data-id="{id}"{aria}><bdi>{title}</bdi></button>{menu}</li>',
        is_current=" is-current" if current else "",
        aria=html(' aria-current="true"') if current else Html(),
        id=chat.id,
        title=chat.title,
        menu=_menu(chat),
    )


def _menu(chat: Chat) -> Html:
    return html(
        '<details class="menu"><summary aria-label="{label}">⋯</summary><div>'
        '<button type="button" data-action="rename-chat" data-id="{id}" '
        'data-prompt="Rename this chat" data-value="{title}">Rename</button>'
        '<a href="/chats/{id}.md" download>Export as Markdown</a>'
        '<button type="button" data-action="delete-chat" data-id="{id}" data-yes="Delete" '
        'data-confirm="{question}">Delete</button></div></details>',
        label=f"More for chat {chat.title}",
        id=chat.id,
        title=chat.title,
        question=f"Delete the chat “{chat.title}”?",
    )
