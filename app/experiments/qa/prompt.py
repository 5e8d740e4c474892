"""What a question can be asked after, in which words, and how a prompt too long is shortened."""

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from app.answering.prompt import Reading, messages, messages_with_documents

GRAIN = 16  # words; prompts are cut at their multiples, so that like questions begin alike
CLOSED_BOOK = "Answer the question, briefly."  # there are no documents that could be silent


class QaMode(StrEnum):
    """What stands before a question."""

    PASSAGES = "passages"  # the best found for it; none is the closed book
    DOCUMENT = "document"  # the whole document it was asked of
    GOLD = "gold"  # the very passage it was asked of


class Prompt(StrEnum):
    """Which words stand around passages and question."""

    PAPER = "paper"  # In-Context RALM's, plain text to go on from
    CHAT = "chat"  # the page's: passages numbered in the system message
    DOCUMENTS = "documents"  # the checkpoint's own template with its place for documents


def paper_parts(reading: Reading) -> list[str]:
    """In-Context RALM's prompt in pieces: one for each passage, then the question.

    A piece ends before the white space that follows it, so that together they are tokenised as the
    whole text is.
    """
    passages = [
        f"{passage.title}\n\n{passage.text}".strip() if passage.title else passage.text.strip()
        for passage in reading.passages
    ]
    asked = f"answer these questions:\nQ: {_as_asked(reading.question)}\nA:"
    if not passages:
        return [asked[0].upper() + asked[1:]]
    based = "this text" if len(passages) == 1 else "these texts"
    separated = [passages[0], *(f"\n\n{passage}" for passage in passages[1:])]
    return [*separated, f"\n\nBased on {based}, {asked}"]


def _as_asked(question: str) -> str:
    """With a question mark, and a small letter first."""
    question = question if question.endswith("?") else f"{question}?"
    return question[0].lower() + question[1:]


def chat_messages(reading: Reading) -> list[dict[str, str]]:
    """The page's messages with the passages inside."""
    if not reading.passages:
        return messages(reading, CLOSED_BOOK)
    return messages_with_documents(reading)


def document_messages(reading: Reading) -> list[dict[str, str]]:
    """Messages for a template that gets the passages apart."""
    return messages(reading) if reading.passages else messages(reading, CLOSED_BOOK)


def shortened(reading: Reading, length: Callable[[Reading], int], limit: int) -> Reading | None:
    """The reading with less of its last passages, so that its `length` is at most `limit` tokens.

    None where the question alone is longer.
    """
    while (over := length(reading) - limit) > 0:
        if not reading.passages:
            return None
        *kept, last = reading.passages
        words = last.text.split(" ")
        without = length(replace(reading, passages=tuple(kept)))
        tokens_a_word = max(1e-9, (limit + over - without) / len(words))
        left = len(words) - max(1, int(over / tokens_a_word))
        left -= left % GRAIN
        if without >= limit or left < 1:
            reading = replace(reading, passages=tuple(kept))
        else:
            shorter = replace(last, text=" ".join(words[:left]))
            reading = replace(reading, passages=(*kept, shorter))
    return reading
