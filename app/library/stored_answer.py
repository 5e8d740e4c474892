"""Answers as stored: the whole value as JSON, so that a chat reopens exactly as it was."""

from functools import cache

from pydantic import TypeAdapter

from app.types import Answer


@cache
def _adapter() -> TypeAdapter[Answer]:
    return TypeAdapter(Answer)


def dump_answer(answer: Answer) -> str:
    """An answer as one JSON object."""
    return _adapter().dump_json(answer).decode()


def load_answer(text: str) -> Answer:
    """The answer that `dump_answer` wrote; a stored answer with missing fields is an error."""
    return _adapter().validate_json(text)
