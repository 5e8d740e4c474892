"""The values that pass between the parts of retrieval, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class RetrievalError(Exception):
    """Base of every error here; the message says what, where and what to do next."""


class NotAnIndex(RetrievalError):
    """The folder holds no index."""


class IndexMismatch(RetrievalError):
    """The index was built with another encoder or format than the one asked for."""


class IndexDamaged(RetrievalError):
    """A checksum, a count or a file of the index is not what its manifest says."""


class IndexBusy(RetrievalError):
    """Another process is writing to the index."""


class ParseFailure(RetrievalError):
    """A file gave no text; `reason` is plain words for the person who added it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type["ParseFailure"], tuple[str]]:
        return ParseFailure, (self.reason,)  # crosses process borders whole


class Mode(StrEnum):
    """Which retrievers answer a search."""

    BM25 = "bm25"
    DENSE = "dense"
    HYBRID = "hybrid"


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of one file; `page_starts[i]` is where page i + 1 begins, empty if unpaged."""

    title: str
    text: str
    page_starts: tuple[int, ...]
    media_type: str


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` of one document, wholly on `page` (1-based), `tokens` encoder tokens."""

    start: int
    end: int
    page: int | None
    tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """Words of one of several passages: `passages[passage][start:end]`."""

    passage: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ReadSpan:
    """`passages[passage][start:end]`, and the log odds that these words answer."""

    passage: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """About 100 words of a document, `document_text[start:end]`, on `page` (1-based) or None."""

    id: str
    document_id: str
    title: str
    text: str
    page: int | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """One indexed document; `id` is the SHA-256 of its bytes, or a corpus entry's own id."""

    id: str
    name: str
    title: str
    media_type: str
    pages: int | None
    characters: int
    passages: int


@dataclass(frozen=True, slots=True)
class Part:
    """What one retriever said of a passage: its raw score and its 1-based rank."""

    score: float
    rank: int


@dataclass(frozen=True, slots=True)
class Hit:
    """One found passage; `parts` has "bm25" and "dense", each where that retriever found it."""

    passage_id: str
    score: float
    parts: Mapping[str, Part]
