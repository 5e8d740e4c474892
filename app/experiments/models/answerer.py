"""What answers questions: a language model as the experiments ask it."""

from dataclasses import dataclass
from typing import Protocol

from app.answering.prompt import Reading
from app.experiments.models.model import Model
from app.experiments.qa.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Sampling:
    """How words are chosen: at temperature 0 the likeliest; else drawn, alike for one seed."""

    temperature: float = 0.0
    seed: int = 0


LIKELIEST = Sampling()


@dataclass(frozen=True, slots=True)
class Answered:
    """What a model wrote, and what it cost."""

    text: str
    prompt_tokens: int
    cached_tokens: int
    written_tokens: int


class Answerer(Model, Protocol):
    """A model that is asked one question at a time."""

    @property
    def answer_tokens(self) -> int:
        """Tokens that it writes at most."""
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

    def answer(self, prompt: Prompt, reading: Reading, how: Sampling = LIKELIEST) -> Answered:
        """What it writes to a prompt that fits."""
        ...

    def close(self) -> None:
        """Give back threads, memory and connections."""
