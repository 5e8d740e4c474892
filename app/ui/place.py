"""Where one browser tab is: its collection and chat, which also stand in the page's address."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Place:
    """The collection and the chat that one tab shows; a chat begins with its first answer."""

    collection: int | None = None
    chat: int | None = None

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Self:
        """The place an address names; what cannot be read is nowhere."""
        return cls(number(query.get("collection")), number(query.get("chat")))

    def address(self) -> str:
        """The query part of the page's address for this place."""
        parts = [("collection", self.collection), ("chat", self.chat)]
        given = [f"{name}={value}" for name, value in parts if value is not None]
        return "?" + "&".join(given) if given else ""


def number(text: str | None) -> int | None:
    """A row's number as a browser sent it; None if it is none."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 16 else None
