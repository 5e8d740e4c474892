"""A whole document read once: its state is kept on disk, and every later question costs itself."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.answering.prompt import Reading
from app.models.local_model import LocalModel
from app.models.model_types import Finished, LanguageModel, ModelError
from app.types import CacheUse, OrbweaverError, RetrievedPassage


@dataclass(frozen=True, slots=True)
class DocumentRead:
    """That a document's state is there, and what it took."""

    document: str
    tokens: int
    cached_tokens: int  # restored instead of read
    restored_from: str  # "none" | "memory" | "disk"
    bytes: int  # of the state that is kept
    seconds: float


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """An answer from one whole document; nothing of it is checked against the document's words."""

    text: str
    read: DocumentRead
    cache: CacheUse
    first_s: float | None  # from the question to the first piece of text
    total_s: float


def open_document(path: Path) -> RetrievedPassage:
    """The text of a file as the one passage that a model reads. Raises OrbweaverError."""
    from retrieval.parse import ParserPool

    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise OrbweaverError(f"{path}: cannot be read ({error.strerror})") from None
    with ParserPool() as parsers:
        text = parsers.parse(path, path.name).text.strip()
    if not text:
        raise OrbweaverError(f"{path}: holds no text")
    return RetrievedPassage(digest, digest, path.name, "", text, None, 0, len(text), 0.0, {})


def ask_document(
    passage: RetrievedPassage,
    question: str,
    model: LanguageModel,
    on_progress: Callable[[int, int], None] | None = None,
) -> Iterator[DocumentRead | str | DocumentAnswer]:
    """That the document is read, the answer in pieces, and the whole of it last.

    `on_progress` gets tokens read and tokens in all. Raises ModelError where the model keeps no
    states of its own, PromptError where the document does not fit into it.
    """
    if not isinstance(model, LocalModel):
        raise ModelError(
            f"{model.name}: a whole document is read by a local model, whose state can be kept; "
            "name a folder or a hub id with --model"
        )
    reading = Reading(question, (passage,))
    kept = model.keep(reading, on_progress)
    read = DocumentRead(
        passage.document,
        kept.tokens,
        kept.cached_tokens,
        kept.restored_from,
        kept.bytes,
        kept.seconds,
    )
    yield read
    asked, first = time.perf_counter(), None
    pieces: list[str] = []
    for piece in model.generate(reading):
        if isinstance(piece, Finished):
            total = time.perf_counter() - asked
            yield DocumentAnswer("".join(pieces).strip(), read, piece.cache, first, total)
        else:
            first = first or time.perf_counter() - asked
            pieces.append(piece)
            yield piece
