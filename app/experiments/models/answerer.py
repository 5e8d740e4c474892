"""What answers questions: a language model as the experiments ask it."""

from dataclasses import dataclass
from typing import Protocol

from app.experiments.qa.prompt import Prompt
from app.prompt import Reading


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model wrote, the likeliest words, and what it cost."""

    text: str
    prompt_tokens: int
    cached_tokens: int


class Answerer(Protocol):
    """A model that is asked one question at a time."""

    @property
    def name(self) -> str: ...
    @property
    def digest(self) -> str | None:
        """SHA-256 of its files; None where they are not here."""
        ...

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts it can be asked with, the one it knows best first."""
        ...

    @property
    def limit(self) -> int:
        """Tokens that a prompt may have."""
        ...

    def length(self, prompt: Prompt, reading: Reading) -> int:
        """Tokens of a prompt."""
        ...

    def answer(self, prompt: Prompt, reading: Reading) -> Answered: ...
    def close(self) -> None:
        """Give back threads, memory and connections."""
