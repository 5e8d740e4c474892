"""Passages and a question -> what a model reads, within a budget, in segments that can be cached.

system | passage 1 | passage 2 | ... | question: snapshot boundaries are where segments end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.followup import Turn
from app.types import RetrievedPassage

SYSTEM = (
    "Answer the question from the documents below, briefly and in their words. "
    "If they do not say, answer: The documents do not say."
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a model is given: a question, the passages in the order retrieved, and earlier turns."""

    question: str
    passages: tuple[RetrievedPassage, ...]
    history: tuple[Turn, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a prompt that is tokenised by itself; `tag` is the document it was taken from."""

    text: str
    tag: str | None


def pack(
    passages: Sequence[RetrievedPassage], size: Callable[[str], int], budget: int
) -> tuple[RetrievedPassage, ...]:
    """The passages that fit into `budget` tokens, each taken if it still fits, in order."""
    packed, left = [], budget
    for passage in passages:
        cost = size(document_text(passage))
        if cost <= left:
            packed.append(passage)
            left -= cost
    return tuple(packed)


def document_text(passage: RetrievedPassage) -> str:
    """A passage as a model sees it: its title, then its words."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text


def conversation(reading: Reading) -> list[dict[str, str]]:
    """The earlier turns and the question as chat messages; the question is last."""
    messages = []
    for turn in reading.history:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    return [*messages, {"role": "user", "content": reading.question}]


def with_documents(reading: Reading) -> list[dict[str, str]]:
    """Chat messages for a server without a place for documents: they go into the system message."""
    numbered = [
        f"[{number}] {document_text(passage)}" for number, passage in enumerate(reading.passages, 1)
    ]
    system = "\n\n".join([SYSTEM, *numbered])
    return [{"role": "system", "content": system}, *conversation(reading)]


def cut_after_passages(text: str, passages: Sequence[RetrievedPassage]) -> list[Segment]:
    """Cut a rendered prompt in front of the first passage's words and behind each passage's.

    A template may put anything around them, but keeps their order. A passage it left out (or
    changed) is not cut out and gets no boundary of its own.
    """
    segments: list[Segment] = []
    done = 0
    for passage in passages:
        start = text.find(passage.text, done)
        if start < 0:
            continue
        if not segments:
            segments.append(Segment(text[:start], None))
            done = start
        end = start + len(passage.text)
        segments.append(Segment(text[done:end], passage.document_id))
        done = end
    return [*segments, Segment(text[done:], None)]
