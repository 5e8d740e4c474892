"""What the page and the API both do: ask a collection, and open the words behind a citation."""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Signal
from threading import Lock
from typing import TYPE_CHECKING

from app.experiments.jobs.shelf import Shelf
from app.ingest.worker_process import worker_status
from app.library import DocumentRow, Library, State
from app.library.redact import redact
from app.models.loading import Models
from app.settings import Settings
from app.types import Answer, AnswerMode, Done, Event, OrbweaverError

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.index import Index
    from retrieval.parse import ParserPool

log = logging.getLogger(__name__)

AROUND = 1500  # characters of a document shown before and after the words of a citation


class NothingToSearch(OrbweaverError):
    """The collection has no document that is ready."""


class Gone(OrbweaverError):
    """The words a citation points at are no longer in the collection."""


@dataclass(frozen=True, slots=True)
class View:
    """Exact words of a document with the text around them; `document` is the file's name."""

    document: str
    page: int | None
    before: str
    words: str
    after: str
    cut_before: bool  # whether the document goes on beyond what is shown
    cut_after: bool
    has_picture: bool  # whether `Service.picture` can draw the page


@dataclass(frozen=True, slots=True)
class PageImage:
    """A page as PNG; `boxes` are (left, top, right, bottom) as fractions of the page."""

    page: int
    png: bytes
    boxes: tuple[tuple[float, float, float, float], ...]


class Service:
    """One per process, safe from any thread; models load in the background after `load`."""

    def __init__(self, settings: Settings, library: Library) -> None:
        self.settings = settings
        self.library = library
        self.models = Models(settings)
        self.experiments = Shelf(library.home / "experiments", model=settings.model)
        self._indexes: dict[int, Index] = {}
        self._pool: ParserPool | None = None
        self._lock = Lock()
        self._pool_lock = Lock()

    def load(self) -> None:
        """Start loading the models; what needs them waits."""
        self.models.load(between=self._warm_up)

    def close(self) -> None:
        """Let go of the indexes, the model and all children."""
        self.experiments.close()
        with self._lock:
            for index in self._indexes.values():
                index.close()
            self._indexes.clear()
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None
        self.models.close()

    def worker_runs(self) -> bool:
        """Whether a worker serves this library."""
        return worker_status(self.library.home).running

    def index(self, collection_id: int) -> "Index":
        """The collection's index at its newest generation. Raises NothingToSearch, NotFound."""
        self.library.collection(collection_id)
        path = self.library.index_path(collection_id)
        encoder = self.models.encoder()
        with self._lock:
            index = self._indexes.get(collection_id)
            if index is None:
                index = self._indexes[collection_id] = _open_index(path, encoder)
            else:
                index.refresh()
        return index

    def remove(self, document_id: int) -> None:
        """Remove a document (its row's number), and states and experiments that read it."""
        row = self.library.document(document_id)
        self.library.remove(document_id)
        self.models.forget(row.digest)
        self.experiments.forget(row.collection_id, row.digest)

    def delete_collection(self, collection_id: int) -> None:
        """Delete a collection with all it holds, and states and experiments that read it."""
        digests = [row.digest for row in self.library.documents(collection_id)]
        self.library.delete_collection(collection_id)
        with self._lock:
            index = self._indexes.pop(collection_id, None)
        if index is not None:
            index.close()
        for digest in digests:
            self.models.forget(digest)
        self.experiments.forget(collection_id)

    def ask(
        self,
        collection_id: int,
        question: str,
        *,
        mode: AnswerMode | None = None,
        documents: Collection[str] | None = None,
        history: Sequence[tuple[str, str]] = (),
        twice: bool = False,
        cancel: Signal | None = None,
    ) -> Iterator[Event]:
        """Answer from a collection, or from the `documents` (ids) of it, event by event.

        `history` holds earlier questions with the texts of their answers; `twice` compares several
        drafts of a free answer. Raises NothingToSearch.
        """
        from app.answering.answer import answer_question
        from app.answering.drafts import DRAFTS
        from app.answering.followup import Turn
        from app.answering.quoting import Readers

        mode = self.settings.mode if mode is None else mode
        allowed = self._searchable(collection_id, documents)
        return answer_question(
            question,
            index=self.index(collection_id),
            readers=Readers(
                self.models.reader(),
                self.models.language_model() if self.settings.needs_model(mode) else None,
                self.settings.quotes,
                drafts=DRAFTS if twice else 1,
            ),
            mode=mode,
            k=self.settings.k,
            history=[Turn(*turn) for turn in history],
            documents=allowed,
            cancel=cancel,
        )

    def answer(
        self,
        collection_id: int,
        question: str,
        *,
        mode: AnswerMode | None = None,
        documents: Collection[str] | None = None,
        history: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        """The whole answer of `ask`."""
        events = self.ask(collection_id, question, mode=mode, documents=documents, history=history)
        return next(event.answer for event in events if isinstance(event, Done))

    def without_removed(self, collection_id: int, answer: Answer) -> Answer:
        """The answer without the words of documents that were removed while it was made."""
        rows = self.library.documents(collection_id)
        kept = {row.digest for row in rows if row.state is not State.REMOVING}
        for digest in sorted({passage.document_id for passage in answer.passages} - kept):
            answer = redact(answer, digest)
        return answer

    def view(
        self, collection_id: int, document_id: str, start: int, end: int, page: int | None
    ) -> View:
        """The words `start` to `end` of a document with some text around them. Raises Gone."""
        row = self._ready(collection_id, document_id)
        index = self.index(collection_id)
        text = index.text(document_id)
        if not 0 <= start < end <= len(text):
            raise Gone(f"{row.name} does not have these words any more")
        info = index.document(document_id)
        first, last = _context(text, start, end)
        return View(
            document=row.name,
            page=page,
            before=text[first:start],
            words=text[start:end],
            after=text[end:last],
            cut_before=first > 0,
            cut_after=last < len(text),
            has_picture=info.media_type == "application/pdf" and page is not None,
        )

    def picture(
        self, collection_id: int, document_id: str, page: int, start: int, end: int
    ) -> PageImage:
        """A PDF's page with boxes around the words. Raises Gone, RetrievalError."""
        row = self._ready(collection_id, document_id)
        first = self.index(collection_id).page_start(document_id, page)
        span = (start - first, end - first)
        with self._pool_lock:
            drawn = self._parsers().page_view(self.library.file_path(row), page, [span])
        boxes = tuple(
            (
                box.left / drawn.width,
                box.top / drawn.height,
                box.right / drawn.width,
                box.bottom / drawn.height,
            )
            for box in drawn.boxes
        )
        return PageImage(page, drawn.png, boxes)

    def _warm_up(self) -> None:
        """Search once, so that the first person does not wait for the JVM and the encoder."""
        ready = [each.id for each in self.library.collections() if each.ready]
        try:
            for collection_id in ready[:1]:
                self.index(collection_id).search("warm up", k=1)
        except Exception as error:  # whoever asks there is told
            log.warning("cannot search collection %s: %s", ready[0], error)

    def _searchable(
        self, collection_id: int, documents: Collection[str] | None
    ) -> Collection[str] | None:
        """The ids a search keeps to: those asked for, less those being removed; None is all."""
        rows = self.library.documents(collection_id)
        ready = {row.digest for row in rows if row.state is State.READY}
        if not ready:
            raise NothingToSearch("no document of this collection is ready; add one first")
        if documents is None:
            return self.library.searchable(collection_id)
        if unknown := sorted(set(documents) - ready):
            raise Gone(f"not a ready document of this collection: {', '.join(unknown)}")
        return sorted(documents)

    def _ready(self, collection_id: int, document_id: str) -> DocumentRow:
        for row in self.library.documents(collection_id):
            if row.digest == document_id and row.state is State.READY:
                return row
        raise Gone("this document was removed from the collection")

    def _parsers(self) -> "ParserPool":
        from retrieval.parse import ParserPool

        if self._pool is None:
            self._pool = ParserPool(workers=1)
        return self._pool


def _context(text: str, start: int, end: int) -> tuple[int, int]:
    """Where the text shown around `start` to `end` begins and ends: at white space."""
    first, last = max(0, start - AROUND), min(len(text), end + AROUND)
    while 0 < first < start and not text[first - 1].isspace():
        first += 1
    while end < last < len(text) and not text[last].isspace():
        last -= 1
    return first, last


def _open_index(path: Path, encoder: "Encoder") -> "Index":
    from retrieval.index import Index
    from retrieval.types import NotAnIndex

    try:
        return Index.open(path, encoder)
    except NotAnIndex:
        raise NothingToSearch("no document of this collection is ready; add one first") from None
