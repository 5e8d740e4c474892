"""Passages and a question -> what a model reads, within a budget of tokens.

Laid out as system | passage 1 | passage 2 | ... | question, so that questions about the same
passages begin alike and the state behind each passage can be gone on from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.followup import Turn
from app.types import RetrievedPassage

ABSTAIN = "The documents do not say."
SYSTEM = (
    "Answer the question from the documents, briefly and in their words. "
    f"If they do not say, answer: {ABSTAIN}"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model is given: a question, the passages in the order retrieved, and earlier turns."""

    question: str
    passages: tuple[RetrievedPassage, ...]
    history: tuple[Turn, ...] = ()


def pack(
    passages: Sequence[RetrievedPassage], costs: Sequence[int], budget: int
) -> tuple[RetrievedPassage, ...]:
    """The passages that fit into `budget` tokens, each taken if it still fits, in order."""
    packed, left = [], budget
    for passage, cost in zip(passages, costs, strict=True):
        if cost <= left:
            packed.append(passage)
            left -= cost
    return tuple(packed)


def document(passage: RetrievedPassage) -> dict[str, str]:
    """A passage as chat templates take documents."""
    return {**({"title": passage.title} if passage.title else {}), "text": passage.text}


def document_text(passage: RetrievedPassage) -> str:
    """A passage as text, for models whose template has no place for documents."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def question_text(reading: Reading) -> str:
    """The question with its earlier turns in front: as one text, so that passages come first."""
    if not reading.history:
        return reading.question
    earlier = [f"Question: {turn.question}\nAnswer: {turn.answer}" for turn in reading.history]
    return "\n\n".join([*earlier, f"Question: {reading.question}"])


def messages_with_documents(reading: Reading) -> list[dict[str, str]]:
    """Chat messages with the passages in the system message, numbered; the question is last."""
    numbered = [
        f"[{number}] {document_text(passage)}" for number, passage in enumerate(reading.passages, 1)
    ]
    return messages(reading, "\n\n".join([SYSTEM, *numbered]))


def messages(reading: Reading, system: str = SYSTEM) -> list[dict[str, str]]:
    """Chat messages for a template that has a place of its own for documents."""
    return [
        {"role": "system", "content": system},
        {"role": "user", "content": question_text(reading)},
    ]
