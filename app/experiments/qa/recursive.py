"""The recursive pass in words: drafts that differ go back to the same model with the evidence."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.drafts import agree, chosen, compared
from app.answering.prompt import Reading
from app.experiments.models.answerer import Answered, Answerer, Sampling
from app.experiments.qa.prompt import Prompt, shortened
from app.types import Outcome


@dataclass(frozen=True, slots=True)
class Drafts:
    """So many drafts of each answer: the likeliest words, and others drawn by seeds from `seed`."""

    number: int
    temperature: float
    seed: int = 0

    def drawn(self) -> list[Sampling]:
        """How each draft but the first is written."""
        return [Sampling(self.temperature, self.seed + each) for each in range(self.number - 1)]


@dataclass(frozen=True, slots=True)
class SecondPass:
    """What became of a question's drafts; tokens and seconds are those beyond the first draft."""

    drafts: tuple[str, ...]
    outcome: Outcome
    text: str  # the answer
    prompt_tokens: int
    cached_tokens: int
    written_tokens: int
    seconds: float


def second_pass(
    answerer: Answerer, prompt: Prompt, reading: Reading, first: Answered, drafts: Drafts
) -> SecondPass:
    """Draw the other drafts, and where they differ from the first ask the model to compare them.

    The second prompt is the first with the drafts before its question; if it is too long, passages
    lose words, and where drafts and question alone are too long the first draft stays.
    """
    began = time.perf_counter()
    asked = [answerer.answer(prompt, reading, how) for how in drafts.drawn()]
    texts = (first.text, *(each.text for each in asked))
    text, outcome = first.text, Outcome.AGREED
    if not agree(texts):
        second = shortened(
            compared(reading, texts), lambda part: answerer.length(prompt, part), answerer.limit
        )
        if second is not None:
            asked.append(answerer.answer(prompt, second))
        text, outcome = chosen(texts, "" if second is None else asked[-1].text)
    return _made(texts, outcome, text, asked, time.perf_counter() - began)


def _made(
    drafts: tuple[str, ...],
    outcome: Outcome,
    text: str,
    asked: Sequence[Answered],
    seconds: float,
) -> SecondPass:
    return SecondPass(
        drafts,
        outcome,
        text,
        sum(each.prompt_tokens for each in asked),
        sum(each.cached_tokens for each in asked),
        sum(each.written_tokens for each in asked),
        seconds,
    )
