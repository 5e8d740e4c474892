"""What a language model is to the rest of the application."""

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event as Flag
from typing import Protocol

from app.prompt import Reading
from app.types import CacheUse, OrbweaverError


class ModelError(OrbweaverError):
    """A language model cannot be had or has failed; the message names it and says what to do."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a generated answer."""

    cache: CacheUse
    stopped: bool  # by the person who asked
    tokens: int | None = None  # how many were written, where the model says
    cut_off: bool = False  # the longest answer allowed was reached


class LanguageModel(Protocol):
    """A model that reads passages and answers: a local Jamba or a remote server."""

    @property
    def name(self) -> str: ...
    @property
    def is_remote(self) -> bool: ...
    @property
    def host(self) -> str | None:
        """Where passages are sent; None for a local model."""
        ...

    @property
    def notice(self) -> str:
        """One sentence on what it is, which the page shows before anyone asks."""
        ...

    def generate(self, reading: Reading, cancel: Flag | None = None) -> Iterator[str | Finished]:
        """The answer in pieces of text as they are made, and last of all a Finished."""
        ...

    def forget(self, document_id: str) -> int:
        """Drop every cached state that has read the document; how many there were."""
        ...

    def close(self) -> None:
        """Give back threads, memory and connections."""
