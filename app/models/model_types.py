"""What a language model is to the rest of the application."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Protocol

from app.answering.prompt import Reading
from app.types import CacheUse, OrbweaverError
from jamba.load import Load


class ModelError(OrbweaverError):
    """A language model cannot be had or has failed; the message names it and says what to do."""


class PromptError(OrbweaverError):
    """The prompt, or how its answer is to be written, is not for this model."""


class PromptTooLong(PromptError):
    """The prompt is longer than the model reads."""


class ModelBusy(ModelError):
    """The model has as many requests as it takes; to be asked again later."""


@dataclass(frozen=True, slots=True)
class Writing:
    """How a text is to be written; the defaults are those of answers."""

    max_tokens: int | None = None  # None: the server's own
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_ids: tuple[int, ...] = ()
    logprobs: int | None = None  # each token's log probability, and those of so many likeliest


@dataclass(frozen=True, slots=True)
class Token:
    """A token as text with its log probability; `top` are the likeliest in its place."""

    text: str
    logprob: float
    top: tuple["Token", ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of text as it was made, with its tokens where log probabilities were asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


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
        """The answer to as much as fits, in pieces of text, and last of all a Finished."""
        ...

    def packed(self, reading: Reading) -> Reading:
        """As much of a reading as a prompt holds: passages in order, and its history or none.

        Raises PromptTooLong where the question alone does not fit.
        """
        ...

    def write(
        self, prompt: Reading | str, how: Writing, cancel: Flag | None = None, user: str = ""
    ) -> Iterator[Written | Finished]:
        """The answer to a whole reading, or what follows a text, written as is asked for."""
        ...

    def work(self) -> Load | None:
        """How busy it is; None where it does not run here."""
        ...

    def forget(self, document_id: str) -> int:
        """Drop every cached state that has read the document; how many there were."""
        ...

    def close(self) -> None:
        """Give back threads, memory and connections."""
