"""The values that the parts of an index pass to each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EncoderInfo:
    """Which encoder made an index's vectors; `id` is the packaged name, a hub id or a folder."""

    id: str
    weight_hash: str
    dimension: int
    pooling: str
    max_tokens: int
    normalized: bool  # unit length, so that inner products are cosines

    def makes_vectors_of(self, other: "EncoderInfo") -> bool:
        """Whether both give the same vectors, wherever their weights lie."""
        ours = (self.weight_hash, self.pooling, self.max_tokens, self.normalized)
        return ours == (other.weight_hash, other.pooling, other.max_tokens, other.normalized)


@dataclass(frozen=True, slots=True)
class Chunker:
    """How documents were cut into passages."""

    words: int = 100


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable file of vectors."""

    name: str
    rows: int
    sha256: str


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
class Scored:
    """A passage and one retriever's raw score of it."""

    passage_id: str
    score: float


def titled(title: str, text: str) -> str:
    """A passage as both retrievers read it: its document's title, if any, before its words."""
    return f"{title}\n{text}" if title else text


def clean(text: str) -> str:
    """Text that SQLite, Lucene and a terminal all take: no halves of characters, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", " ")
