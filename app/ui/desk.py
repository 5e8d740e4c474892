"""What the page does when something is clicked or dropped, except asking."""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from app.library import DocumentRow, LibraryError, NotFound, State
from app.models.loading import Loading
from app.serving.service import Service
from app.types import AnswerMode, OrbweaverError
from app.ui import about, chats, conversation, documents, header, scope, source, welcome
from app.ui.escape import Html, html
from app.ui.place import Place, number
from retrieval.types import RetrievalError

log = logging.getLogger(__name__)

SAME = gr.skip()  # leaves an output as it is


class Screen(NamedTuple):
    """Everything that depends on the place, in the order of the outputs of the page's events."""

    place: Any
    header: Any
    chats: Any
    conversation: Any
    live: Any
    source: Any
    listing: Any
    scope: Any
    chosen: Any
    note: Any
    drawn: Any  # what the timer compares with, to redraw only what changed


UNCHANGED = Screen(*[SAME] * len(Screen._fields))


class Desk:
    """The page's actions over one service; each browser tab brings its own place."""

    def __init__(self, service: Service, examples: Sequence[str], sample: frozenset[str]) -> None:
        self.service = service
        self.library = service.library
        self._examples = examples
        self._sample = sample  # digests of the sample collection's files
        self._actions = {
            "collection": self._choose,
            "new-collection": self._create,
            "rename-collection": self._rename,
            "delete-collection": self._delete,
            "new-chat": self._new_chat,
            "open-chat": self._open_chat,
            "rename-chat": self._rename_chat,
            "delete-chat": self._delete_chat,
            "retry": self._retry,
            "remove": self._remove,
        }

    def arrive(self, query: Mapping[str, str]) -> Screen:
        """A tab was opened or reloaded at the address with this query."""
        return self.screen(self.existing(Place.read(query)))

    def act(self, place: Place, data: Mapping[str, str]) -> Screen:
        """Do what a button says, then show where that leads."""
        try:
            after = self._actions[data["action"]](place, data)
        except OrbweaverError as error:
            return self.screen(self.existing(place), str(error))
        shown = self.screen(after)
        return (
            shown
            if after != place
            else shown._replace(live=SAME, source=SAME, scope=SAME, chosen=SAME)
        )

    def screen(self, place: Place, notice: str | None = None) -> Screen:
        """All that a tab at `place` shows."""
        rows = self._rows(place)
        return Screen(
            place=place,
            header=self._bar(place, notice),
            chats=self.chats(place),
            conversation=self.conversation(place),
            live=Html(),
            source=source.CLOSED,
            listing=documents.listing(rows),
            scope=scope.picker(rows, ()),
            chosen=(),
            note=SAME,
            drawn=self._drawn(place, rows),
        )

    def refresh(
        self,
        place: Place,
        chosen: Sequence[str],
        mode: str,
        drawn: str,
        query: Mapping[str, str],
    ) -> Screen:
        """What changed since `drawn`, which the timer got the last time, and nothing else."""
        if not drawn:  # the server was restarted under an open tab: its address knows the place
            return self.arrive(query)
        if self.existing(place) != place:  # another tab deleted the collection or the chat
            return self.screen(self.existing(place))
        rows = self._rows(place)
        now = self._drawn(place, rows)
        if now == drawn:
            return UNCHANGED
        kept = _still_ready(rows, chosen)
        return UNCHANGED._replace(
            header=self._bar(place, None),
            conversation=self.conversation(place) if place.chat is None else SAME,
            listing=documents.listing(rows),
            scope=scope.picker(rows, kept),
            chosen=kept,
            note=self.note(mode),
            drawn=now,
        )

    def limit(self, place: Place, chosen: Sequence[str]) -> tuple[str, ...]:
        """The documents that answers are limited to from now on."""
        return _still_ready(self._rows(place), chosen)

    def add(self, place: Place, paths: Sequence[str]) -> tuple[None, Html, Html]:
        """Take dropped files in: clears the field, says what was refused, and lists the rest."""
        if place.collection is None:
            refused = ["there is no collection to add to: make one with the ⋯ menu above"]
            return None, documents.import_notes(refused), documents.EMPTY
        refused = []
        for path in map(Path, paths):
            try:
                limit = self.service.settings.file_mb * 2**20
                self.library.add_file(place.collection, path.name, path, max_bytes=limit)
            except LibraryError as error:
                refused.append(str(error))
            finally:
                path.unlink(missing_ok=True)  # Gradio's copy; the library has its own
        rows = self._rows(place)
        return None, documents.import_notes(refused), documents.listing(rows)

    def show(self, place: Place, data: Mapping[str, str]) -> Iterator[Html]:
        """Open the words a button points at: their text at once, then the PDF's page."""
        if data["action"] == "close" or place.collection is None:
            yield source.CLOSED
            return
        start, end = number(data["start"]) or 0, number(data["end"]) or 0
        where = (place.collection, data["document"])
        try:
            view = self.service.view(*where, start, end, number(data.get("page")))
        except (OrbweaverError, RetrievalError) as error:
            yield source.closed_with(str(error))
            return
        yield source.opened(view, loading=view.has_picture)
        if view.has_picture and view.page is not None:
            try:
                yield source.opened(view, self.service.picture(*where, view.page, start, end))
            except Exception:  # the text is shown already; a page that cannot be drawn is no loss
                log.exception("cannot draw page %s of %s", view.page, view.document)
                yield source.opened(view)

    def note(self, mode: str) -> Html:
        """What answers in this mode, named as what it is."""
        return about.note(self.service, AnswerMode(mode))

    def chats(self, place: Place) -> Html:
        """The list of chats beside the conversation."""
        kept = [] if place.collection is None else self.library.chats(place.collection)
        return chats.listing(kept, place.chat)

    def conversation(self, place: Place) -> Html:
        """The chat so far, or how to start one; it carries the place into the page's address."""
        if place.chat is not None:
            said = conversation.turns([each.answer for each in self.library.messages(place.chat)])
        else:
            said = self._welcome(place)
        return html('<div data-place="{place}">{said}</div>', place=place.address(), said=said)

    def existing(self, place: Place) -> Place:
        """`place`, or the nearest that exists: its collection without a chat, or the first."""
        known = {each.id for each in self.library.collections()}
        if place.collection not in known:
            return Place(min(known, default=None))
        try:
            chat = None if place.chat is None else self.library.chat(place.chat)
        except NotFound:
            chat = None
        same = chat is not None and chat.collection_id == place.collection
        return place if same else Place(place.collection)

    def here(self, place: Place, query: Mapping[str, str]) -> Place:
        """Where a tab is; before its page has heard from the server, where its address says."""
        return self.existing(Place.read(query)) if place.collection is None else place

    def _welcome(self, place: Place) -> Html:
        if place.collection is None:
            return welcome.empty(None, ())
        ready = {row.digest for row in self._rows(place) if row.state is State.READY}
        has_sample = bool(self._sample) and self._sample <= ready
        examples = self._examples if has_sample else ()
        return welcome.empty(self.library.collection(place.collection), examples)

    def _bar(self, place: Place, notice: str | None) -> Html:
        notices = [*([notice] if notice else []), *self._notices()]
        return header.bar(self.library.collections(), place.collection, notices)

    def _notices(self) -> list[str]:
        """What everyone should know, whatever they are doing."""
        notices = []
        state, said = self.service.models.state()
        if state is Loading.FAILED:
            notices.append(f"Free answers are not available: {said}")
        if not self.service.worker_runs():
            notices.append(WORKER_DOWN)
        return notices

    def _drawn(self, place: Place, rows: Sequence[DocumentRow]) -> str:
        shown = (rows, self.library.collections(), self._notices(), self.service.models.state())
        return hashlib.sha256(repr(shown).encode()).hexdigest()

    def _rows(self, place: Place) -> list[DocumentRow]:
        if place.collection is None:
            return []
        self.library.collection(place.collection)  # raises NotFound
        return self.library.documents(place.collection)

    def _choose(self, place: Place, data: Mapping[str, str]) -> Place:
        return self.existing(Place(number(data["value"])))

    def _create(self, place: Place, data: Mapping[str, str]) -> Place:
        return Place(self.library.create_collection(data["value"]).id)

    def _rename(self, place: Place, data: Mapping[str, str]) -> Place:
        self.library.rename_collection(_known(place.collection), data["value"])
        return place

    def _delete(self, place: Place, data: Mapping[str, str]) -> Place:
        self.service.delete_collection(_known(place.collection))
        return self.existing(Place())

    def _new_chat(self, place: Place, data: Mapping[str, str]) -> Place:
        return Place(place.collection)

    def _open_chat(self, place: Place, data: Mapping[str, str]) -> Place:
        return self.existing(Place(place.collection, _id(data)))

    def _rename_chat(self, place: Place, data: Mapping[str, str]) -> Place:
        self.library.rename_chat(_id(data), data["value"])
        return place

    def _delete_chat(self, place: Place, data: Mapping[str, str]) -> Place:
        self.library.delete_chat(_id(data))
        return Place(place.collection) if place.chat == _id(data) else place

    def _retry(self, place: Place, data: Mapping[str, str]) -> Place:
        self.library.retry(_id(data))
        return place

    def _remove(self, place: Place, data: Mapping[str, str]) -> Place:
        self.service.remove(_id(data))
        return place


WORKER_DOWN = (
    "The process that reads documents is not running, so added files wait. "
    "Restart the server, or start it with: python -m app worker"
)


def _still_ready(rows: Sequence[DocumentRow], chosen: Sequence[str]) -> tuple[str, ...]:
    ready = {row.digest for row in rows if row.state is State.READY}
    return tuple(digest for digest in chosen if digest in ready)


def _id(data: Mapping[str, str]) -> int:
    return _known(number(data.get("id")))


def _known(value: int | None) -> int:
    if value is None:
        raise NotFound("that is not there any more; reload the page")
    return value
