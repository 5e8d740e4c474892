"""The values that the parts of an index pass to each other."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Which encoder made an index's vectors; `id` is the packaged name, a hub id or a folder."""

    id: str
    weight_hash: str
    dimension: int
    pooling: str
    max_tokens: int | None  # None reads texts of any length
    normalized: bool  # unit length, so that inner products are cosines
    title_separator: str = "\n"  # between a passage's title and its text

    def makes_vectors_of(self, other: "EncoderInfo") -> bool:
        """Whether both give the same vectors, wherever their weights lie."""
        return replace(self, id="", dimension=0) == replace(other, id="", dimension=0)


@dataclass(frozen=True, slots=True)
class Chunker:
    """How documents were cut into passages."""

    words: int = 100


@dataclass(frozen=True, slots=True)
class AnnFile:
    """A FAISS file made of one segment's vectors."""

    kind: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable file of vectors."""

    name: str
    rows: int
    sha256: str
    ann: AnnFile | None = None  # what makes searching it quicker


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit says of the other parts: which belong to it."""

    generation: int
    encoder: EncoderInfo | None
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to be stored; `text` is None where it is the whole document."""

    id: str
    page: int | None
    start: int
    end: int
    text: str | None


@dataclass(frozen=True, slots=True)
class Row:
    """A stored passage by its row number, as the encoder needs it."""

    row: int
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A stored passage by its row number, with the document it stands in."""

    row: int
    document_id: str
    siblings: int  # passages of its document, itself among them
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage and one retriever's raw score of it."""

    passage_id: str
    score: float


def titled(title: str, text: str, separator: str = "\n") -> str:
    """A passage as a retriever reads it: its document's title, if any, before its words."""
    return f"{title}{separator}{text}" if title else text


def clean(text: str) -> str:
    """Text that SQLite, Lucene and a terminal all take: no halves of characters, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
