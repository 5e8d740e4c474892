"""The values an answer is made of, and the events that stream while it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from retrieval.types import Part


class OrbweaverError(Exception):
    """Base of the application's errors; the message says what, where and what to do next."""


class AnswerMode(StrEnum):
    """How an answer was made: literal words, generated text, or an honest refusal."""

    QUOTE = "quote"
    FREE = "free"
    ABSTAIN = "abstain"


class QuoteSource(StrEnum):
    """Who points at the words of a quote."""

    READER = "reader"
    MODEL = "model"  # a language model whose answer is held to words of the passages
    BOTH = "both"  # the reader proposes, the language model weighs


@dataclass(frozen=True, slots=True)
class RetrievedPassage:
    """A passage retrieved for one question: where it stands, what it says, why it was found."""

    passage_id: str
    document_id: str
    document: str  # the file's name as the user knows it
    title: str
    text: str
    page: int | None
    start: int  # character offsets into the document's extracted text
    end: int
    score: float
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Citation:
    """Exact words of a document that a sentence rests on; the page prints `number` as [1]."""

    number: int
    passage_id: str
    document_id: str
    document: str
    page: int | None
    start: int  # offsets of `text` in the document's extracted text
    end: int
    text: str
    focus: tuple[int, int] | None = None  # offsets of the very words in it that answer
    removed: bool = False  # the document was removed since; nothing else of it is kept here


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer and its citations' numbers, at most two; none: not supported."""

    text: str
    citations: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds from the question to each point; `first_token` is None where no model ran."""

    retrieval: float
    first_token: float | None
    total: float


@dataclass(frozen=True, slots=True)
class CacheUse:
    """How many prompt tokens were restored from a snapshot instead of read again.

    What a model computed is the rest of the prompt and `written_tokens`, those it only weighed too.
    """

    prompt_tokens: int
    cached_tokens: int
    restored_from: str  # "none" | "memory" | "disk"
    miss_reason: str | None = None
    written_tokens: int | None = None  # where the model says


class Outcome(StrEnum):
    """What became of several drafts of one answer."""

    AGREED = "agreed"
    CHOSEN = "chosen"  # they differed, and the model wrote one of them again
    REWRITTEN = "rewritten"  # they differed, and the model wrote another answer
    KEPT = "kept"  # they differed, the model had nothing to add, and the first draft stayed


@dataclass(frozen=True, slots=True)
class Check:
    """How a free answer was checked: by so many drafts of it, and what became of them."""

    drafts: int
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer; citations come from passage offsets, never from parsing model text."""

    question: str
    searched: str  # what was searched: the question, or the question with its history's terms
    text: str
    mode: AnswerMode
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    passages: tuple[RetrievedPassage, ...]
    timings: Timings
    cache: CacheUse
    model: str | None  # None where no language model took part
    stopped: bool = False
    check: Check | None = None  # where it was checked twice


@dataclass(frozen=True, slots=True)
class Retrieved:
    """First event: the passages are found."""

    searched: str
    passages: tuple[RetrievedPassage, ...]


@dataclass(frozen=True, slots=True)
class Checking:
    """So many drafts are being written; or they `differ`, and are being compared."""

    drafts: int
    differ: bool = False


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer's text, in order."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """Last event: the whole answer."""

    answer: Answer


Event = Retrieved | Checking | TextDelta | Done
