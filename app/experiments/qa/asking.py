"""Asking questions with so many passages before them, and scoring what comes back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.prompt import Reading
from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Answerer
from app.experiments.qa.data import QaItem, Text
from app.experiments.qa.packing import pack_to_budget
from app.experiments.qa.prompt import Prompt, shortened
from app.experiments.qa.recursive import Drafts, SecondPass, second_pass
from app.types import RetrievedPassage
from retrieval.evaluation.answer_match import answer_rank
from retrieval.evaluation.squad import exact_match, f1_score, normalise_answer

ABSTENTION = normalise_answer("The documents do not say")  # what the page's prompt asks for


@dataclass(frozen=True, slots=True)
class Condition:
    """What stands before a question: so many texts, or those that fit into so many tokens."""

    docs: int | None = None
    budget: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One question as it was asked and answered; scores are 0 or 1, F1 between.

    Tokens and seconds are the first answer's; `second` has those of a second pass.
    """

    docs: int | None  # what it was asked after, as the condition says it
    budget: int | None
    id: str
    question: str
    answers: tuple[str, ...]
    written: str  # what the model wrote
    prediction: str  # what is scored: empty where the model abstained
    em: float
    f1: float
    answer_in_context: bool
    abstained: bool
    passages: tuple[tuple[str | None, float], ...]  # id and score of those given
    dropped: tuple[tuple[str | None, float], ...]  # of those that the budget had no room for
    read: int  # how many are in the prompt
    cut: bool  # whether the prompt was too long for all the words of those given
    prompt_tokens: int
    cached_tokens: int
    written_tokens: int
    seconds: float
    second: SecondPass | None = None


def ask(
    answerer: Answerer,
    prompt: Prompt,
    item: QaItem,
    texts: Sequence[Text],
    condition: Condition,
    drafts: Drafts | None = None,
) -> Row:
    """Ask one question after these texts, the best first; with `drafts`, compare several answers.

    A prompt too long for the model loses words of its last text, one too long for the condition's
    budget whole texts. Raises ExperimentError where the question alone is too long, and ModelError.
    """
    reading, dropped = _within(answerer, prompt, item, texts, condition)
    began = time.perf_counter()
    first = answerer.answer(prompt, reading)
    seconds = time.perf_counter() - began
    second = None if drafts is None else second_pass(answerer, prompt, reading, first, drafts)
    written = second.text if second else first.text
    said = predicted(written)
    given = [(text.passage_id, text.score) for text in texts]
    return Row(
        docs=condition.docs,
        budget=condition.budget,
        id=item.id,
        question=item.question,
        answers=item.answers,
        written=written,
        prediction=said,
        em=exact_match(said, item.answers),
        f1=f1_score(said, item.answers),
        answer_in_context=_holds_answer(reading, item),
        abstained=is_abstention(written),
        passages=tuple(each for place, each in enumerate(given) if place not in dropped),
        dropped=tuple(given[place] for place in dropped),
        read=len(reading.passages),
        cut=condition.budget is None and reading != _whole(item, texts),
        prompt_tokens=first.prompt_tokens,
        cached_tokens=first.cached_tokens,
        written_tokens=first.written_tokens,
        seconds=seconds,
        second=second,
    )


def _within(
    answerer: Answerer, prompt: Prompt, item: QaItem, texts: Sequence[Text], condition: Condition
) -> tuple[Reading, tuple[int, ...]]:
    """A reading that the model and the budget have room for, and the places of dropped texts."""

    def length(reading: Reading) -> int:
        return answerer.length(prompt, reading)

    whole = _whole(item, texts)
    if condition.budget is not None:
        packed = pack_to_budget(whole, length, condition.budget)
        if packed is not None:
            return packed.reading, packed.dropped
    elif (reading := shortened(whole, length, answerer.limit)) is not None:
        return reading, ()
    raise ExperimentError(
        f"question {item.id} alone is longer than the {condition.budget or answerer.limit} tokens "
        f"{'of the budget' if condition.budget else f'that {answerer.name} reads'}"
    )


def predicted(written: str) -> str:
    """What is scored of what a model wrote: nothing where it abstained."""
    return "" if is_abstention(written) else written.strip()


def is_abstention(text: str) -> bool:
    """Whether a model wrote nothing, or that the documents do not say."""
    said = normalise_answer(text)
    return not said or said.startswith(ABSTENTION)


def _holds_answer(reading: Reading, item: QaItem) -> bool:
    return answer_rank([passage.text for passage in reading.passages], item.answers) is not None


def _whole(item: QaItem, texts: Sequence[Text]) -> Reading:
    return Reading(item.question, tuple(map(_passage, texts)))


def _passage(text: Text) -> RetrievedPassage:
    """A text as prompts take passages; where it stands does not matter here."""
    return RetrievedPassage(
        text.passage_id or "", "", "", text.title, text.text, None, 0, len(text.text), 0.0, {}
    )
