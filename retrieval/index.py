"""An index opened for searching: documents, passages, BM25, vectors, and their fusion.

Each search reads one generation whole; `refresh` opens a newer one, and searches under way finish
on theirs.
"""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.dense import Part
from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.fusion import DEFAULT, Fusion, alone, hybrid
from retrieval.ingest.writer import check_encoder
from retrieval.readers import Dense, Readers, ReadersHere
from retrieval.records import EncoderInfo, Scored, Segment, clean
from retrieval.storage.manifest import describe
from retrieval.storage.store import Store
from retrieval.types import DocumentInfo, Hit, IndexDamaged, Mode, Passage, RetrievalError

DEPTH = 100  # hits of each retriever that are fused, at least


class Index:
    """Open with `Index.open`; safe to use from any thread."""

    def __init__(self, path: Path, store: Store, encoder: Encoder | None, readers: Readers) -> None:
        self.path = path
        self._store = store
        self._encoder = encoder
        self._readers = readers
        self._lock = threading.Lock()
        self._encoder_lock = threading.Lock()  # loading takes seconds, BM25 need not wait for it
        self._current = _newest(readers, store, {})

    @classmethod
    def open(
        cls, path: Path, encoder: Encoder | None = None, readers: Readers | None = None
    ) -> "Index":
        """Open the index in `path`; without `encoder`, the one it names is loaded when needed.

        It is searched in this process, or by `readers`. Raises NotAnIndex, IndexMismatch (another
        encoder or format) or IndexDamaged.
        """
        store = Store.open(path)
        if encoder:
            check_encoder(path, store.encoder, encoder.info)
        return cls(path, store, encoder, readers or ReadersHere(path))

    @property
    def encoder(self) -> Encoder:
        """The encoder of the vectors; raises RetrievalError if the index has none."""
        return self._encoder_of(self._store.encoder)

    def _encoder_of(self, built: EncoderInfo | None) -> Encoder:
        """The encoder that `built` names: another one once an index was embedded anew."""
        if built is None:
            raise RetrievalError(f"{self.path} has no vectors: search it with --mode bm25")
        with self._encoder_lock:
            if self._encoder is None or not built.makes_vectors_of(self._encoder.info):
                loaded = load_encoder(built.id)
                check_encoder(self.path, built, loaded.info)
                self._encoder = loaded
            return self._encoder

    def search(
        self,
        question: str,
        *,
        k: int = 10,
        mode: Mode = Mode.HYBRID,
        documents: Collection[str] | None = None,
        fusion: Fusion = DEFAULT,
    ) -> list[Hit]:
        """The best `k` passages for it, best first, ties by id; only of `documents`, if given.

        Hybrid needs no vectors: an index without them is searched by BM25 alone. `fusion` says how
        both become one list; at least DEPTH hits of each are fused.
        """
        return self._search(_Asked([clean(question)], k, mode, documents, fusion))[0]

    def search_many(
        self,
        questions: Sequence[str],
        *,
        k: int = 10,
        mode: Mode = Mode.HYBRID,
        fusion: Fusion = DEFAULT,
    ) -> list[list[Hit]]:
        """What `search` gives for each question; the questions are encoded together."""
        cleaned = [clean(question) for question in questions]
        return self._search(_Asked(cleaned, k, mode, None, fusion))

    def passages(self, ids: Sequence[str]) -> list[Passage]:
        """The passages with these ids, in that order; raises RetrievalError if one was removed."""
        found = self._store.passages(ids)
        missing = [id for id in ids if id not in found]
        if missing:
            raise RetrievalError(f"{self.path} holds no passage {missing[0]}: was it removed?")
        return [found[id] for id in ids]

    def known(self, ids: Collection[str]) -> set[str]:
        """Those of `ids` that are passages of the index."""
        return set(self._store.rows_of_ids(ids))

    def document(self, document_id: str) -> DocumentInfo:
        """What is known of a document; raises RetrievalError if it is not there."""
        found = self._store.document(document_id)
        if found is None:
            raise RetrievalError(f"{self.path} holds no document {document_id}: was it removed?")
        return found

    def documents(self) -> list[DocumentInfo]:
        """All documents, by name and id."""
        return self._store.documents()

    def text(self, document_id: str) -> str:
        """The extracted text of a document; raises RetrievalError if it is not there."""
        found = self._store.text(document_id)
        if found is None:
            raise RetrievalError(f"{self.path} holds no document {document_id}: was it removed?")
        return found

    def page_start(self, document_id: str, page: int) -> int:
        """Where the text of a page (1-based) begins; raises RetrievalError if it has none."""
        start = self._store.page_start(document_id, page)
        if start is None:
            raise RetrievalError(f"{self.path}: document {document_id} has no text on page {page}")
        return start

    def info(self) -> dict[str, Any]:
        """What the index says of itself: the manifest, as of now."""
        return describe(self._store)

    @property
    def generation(self) -> int:
        """The generation that searches read."""
        return self._current.number

    def refresh(self) -> bool:
        """Open a newer generation if there is one; True if there was."""
        with self._lock:
            if self._store.generation == self._current.number:
                return False
            old = self._current
            self._current = _newest(self._readers, self._store, old.loaded)
        old.retire()
        return True

    def close(self) -> None:
        """Close the files once the searches under way are done."""
        self._current.retire()
        self._store.close()

    def _search(self, asked: "_Asked") -> list[list[Hit]]:
        if asked.k < 1:
            raise RetrievalError(f"k must be at least 1, not {asked.k}")
        try:
            with self._reading() as generation:
                dense = self._dense(generation, asked)
                lexical = _lexical(generation, asked)
        except FileNotFoundError as error:  # vectors not read yet, and a writer has replaced them
            if not self.refresh() and self._current is generation:
                raise IndexDamaged(f"{self.path}: {error.filename or error} is missing") from error
            return self._search(asked)
        unit = generation.encoder is None or generation.encoder.normalized
        return self._stored(_ranked(asked, lexical, dense, unit))

    def _dense(self, generation: "_Generation", asked: "_Asked") -> list[list[Scored]] | None:
        """Dense hits for each question; None where the search does not use vectors."""
        if asked.mode is Mode.BM25 or (asked.mode is Mode.HYBRID and generation.encoder is None):
            return None
        vectors = self._encoder_of(generation.encoder).encode_queries(asked.questions)
        chosen = asked.documents
        rows = None if chosen is None else self._store.rows_of_documents(chosen)
        found = generation.dense().search(vectors, asked.depth, rows)
        ids = self._store.ids_of_rows({row for hits in found for row, _ in hits})
        return [
            [Scored(ids[row], score) for row, score in hits if row in ids and question.strip()]
            for question, hits in zip(asked.questions, found, strict=True)
        ]

    def _stored(self, found: list[list[Hit]]) -> list[list[Hit]]:
        """Without passages that were removed since the generation was opened."""
        there = self._store.rows_of_ids({hit.passage_id for hits in found for hit in hits})
        return [[hit for hit in hits if hit.passage_id in there] for hits in found]

    @contextmanager
    def _reading(self) -> Iterator["_Generation"]:
        with self._lock:
            generation = self._current
            generation.enter()
        try:
            yield generation
        finally:
            generation.leave()


@dataclass(frozen=True, slots=True)
class _Asked:
    """One search: of `documents` only, unless that is None."""

    questions: Sequence[str]
    k: int
    mode: Mode
    documents: Collection[str] | None
    fusion: Fusion

    @property
    def depth(self) -> int:
        """Hits wanted of each retriever."""
        return max(self.k, DEPTH) if self.mode is Mode.HYBRID else self.k


class _Generation:
    """The searchers of one generation; closed when retired and no search is using them."""

    def __init__(self, readers: Readers, store: Store, loaded: Mapping[Segment, Part]) -> None:
        committed = store.committed()
        self.number = committed.generation
        self.encoder = committed.encoder  # what made its vectors
        self.loaded = loaded  # segments in memory; most outlive a generation
        self._segments = committed.segments
        self._readers = readers
        self._users = 1  # the index itself
        self._lock = threading.Lock()
        self._dense: Dense | None = None
        self.bm25 = readers.lexical(self.number)

    def dense(self) -> Dense:
        """The vectors, read on first use."""
        with self._lock:
            if self._dense is None:
                self._dense = self._readers.dense(self._segments, self.loaded)
                self.loaded = self._dense.parts
            return self._dense

    def enter(self) -> None:
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            unused = self._users == 0
        if unused:
            self.bm25.close()

    def retire(self) -> None:
        """The index no longer uses this generation."""
        self.leave()


def _ranked(
    asked: _Asked, lexical: list[list[Scored]], dense: list[list[Scored]] | None, unit: bool
) -> list[list[Hit]]:
    """The hits of each question in the mode asked for; `unit` vectors have cosines as scores."""
    if dense is None:
        return [alone("bm25", hits, asked.k) for hits in lexical]
    if asked.mode is Mode.DENSE:
        return [alone("dense", hits, asked.k) for hits in dense]
    return [
        hybrid(words, meaning, asked.k, fusion=asked.fusion, unit=unit)
        for words, meaning in zip(lexical, dense, strict=True)
    ]


def _lexical(generation: _Generation, asked: _Asked) -> list[list[Scored]]:
    """BM25 hits for each question; none where the search does not use them."""
    if asked.mode is Mode.DENSE:
        return [[] for _ in asked.questions]
    return generation.bm25.search_many(asked.questions, asked.depth, asked.documents)


def _newest(readers: Readers, store: Store, loaded: Mapping[Segment, Part]) -> _Generation:
    """Open the committed generation, again if a writer commits another one meanwhile."""
    while True:
        before = store.generation
        try:
            return _Generation(readers, store, loaded)
        except RetrievalError:
            if store.generation == before:
                raise
