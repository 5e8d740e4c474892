"""One document -> its passages, short enough to be encoded whole: what a writer stores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder import Encoder
from retrieval.passages import split_passages
from retrieval.records import Chunker, NewPassage, titled
from retrieval.types import Extracted, Span

Vectors = NDArray[np.float32]  # (passages, d)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A document cut into passages; `truncated` of them are longer than the encoder reads."""

    id: str
    name: str
    extracted: Extracted
    passages: tuple[NewPassage, ...]
    truncated: int
    vectors: Vectors | None = None  # made elsewhere; otherwise the writer makes them


@dataclass(frozen=True, slots=True)
class Preparer:
    """How the documents of one index are cut."""

    encoder: Encoder | None
    chunker: Chunker

    def prepare(self, id: str, name: str, extracted: Extracted, *, whole: bool) -> Prepared:
        """Cut a document: one passage with its id if `whole`, else passage n, from 0, as `id#n`."""
        if whole:
            passage = NewPassage(id, None, 0, len(extracted.text), None)
            return Prepared(id, name, extracted, (passage,), self._too_long(extracted))
        passages = tuple(
            NewPassage(
                f"{id}#{n}", span.page, span.start, span.end, extracted.text[span.start : span.end]
            )
            for n, span in enumerate(self._spans(extracted))
        )
        return Prepared(id, name, extracted, passages, 0)

    def _spans(self, extracted: Extracted) -> list[Span]:
        """The document's passages, short enough to be encoded with the title before them."""
        text, pages, words = extracted.text, extracted.page_starts, self.chunker.words
        if self.encoder is None or self.encoder.max_tokens is None:
            return split_passages(text, pages, words=words)
        count, longest = self.encoder.count_tokens, self.encoder.max_tokens
        title = titled(extracted.title, "", self.encoder.title_separator)
        room = max(longest - count([title])[0], longest // 2)
        return split_passages(text, pages, words=words, max_tokens=room, count_tokens=count)

    def _too_long(self, extracted: Extracted) -> int:
        """1 if the encoder does not read the whole document to its end."""
        if not self.encoder:
            return 0
        text = titled(extracted.title, extracted.text, self.encoder.title_separator)
        return self.encoder.reads_whole([text]).count(False)
