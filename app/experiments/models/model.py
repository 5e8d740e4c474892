"""What every model of an experiment says of itself, and how one of the hub encodes plain text."""

from typing import Any, Protocol


class Model(Protocol):
    """A language model, as a run folder names it."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str | None:
        """SHA-256 of its files; None where they are not here."""
        ...

    @property
    def parameters(self) -> int | None:
        """How many it has; None where it does not say."""
        ...


def plain_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids by a tokenizer of transformers, without the beginnings and ends it would add."""
    ids: list[int] = tokenizer(text, add_special_tokens=False, verbose=False).input_ids
    return ids
