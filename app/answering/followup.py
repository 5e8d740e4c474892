"""A question that leans on the ones before it is searched together with their terms; pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.answering.words import is_content, stem, words

LEANING = frozenset(
    "it its itself they them their theirs he him his she her hers this that these those there then"
    " one ones former latter same else".split()
)
OPENINGS = ("and ", "but ", "or ", "so ", "what about", "how about", "what else", "why not")
TURNS = 4  # how far back a chain of follow-ups is traced
TERMS = 12  # more would drown the question itself


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier question and the text of its answer."""

    question: str
    answer: str


def leans_on_history(question: str) -> bool:
    """Whether a question seems to need the ones before it: a pronoun, an opening, one word only."""
    lower = " ".join(question.lower().split())
    content = [word for word in words(question) if is_content(word)]
    return (
        lower.startswith(OPENINGS)
        or any(word.lower() in LEANING for word in words(question))
        or len(content) < 2
    )


def searched_text(question: str, history: Sequence[Turn]) -> str:
    """What to search: the question, and for a follow-up the terms of the turns it leans on.

    Those are the content words of the earlier questions, back to the last that stands alone, and
    the names in the last answer.
    """
    if not history or not leans_on_history(question):
        return question
    terms = []
    for turn in reversed(history[-TURNS:]):
        terms += [word for word in words(turn.question) if is_content(word)]
        if not leans_on_history(turn.question):
            break
    terms += _names(history[-1].answer)
    return " ".join([question, *_new(terms, question)[:TERMS]])


def _names(text: str) -> list[str]:
    """Capitalised words that do not begin the text."""
    return [word for word in words(text)[1:] if word[0].isupper() and is_content(word)]


def _new(terms: Sequence[str], question: str) -> list[str]:
    """The terms, each once, that the question does not hold already."""
    seen = {stem(word) for word in words(question)}
    kept = []
    for term in terms:
        if stem(term) not in seen:
            seen.add(stem(term))
            kept.append(term)
    return kept
