"""Asking from the page: stream one answer into one tab, let it be stopped, keep it in its chat."""

import logging
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event as Signal
from typing import Any, NamedTuple

import gradio as gr

from app.cli import known_error
from app.types import Answer, AnswerMode, Checking, Done, Retrieved, RetrievedPassage, TextDelta
from app.ui import conversation
from app.ui.desk import Desk, Screen
from app.ui.escape import Html
from app.ui.place import Place

REDRAW_SECONDS = 0.08  # often enough to look like typing, seldom enough for a slow browser

log = logging.getLogger(__name__)


class Step(NamedTuple):
    """What one step of an answer changes, in the order of the outputs of the page's ask event."""

    place: Any = gr.skip()
    conversation: Any = gr.skip()
    live: Any = gr.skip()
    chats: Any = gr.skip()
    question: Any = gr.skip()
    ask: Any = gr.skip()
    stop: Any = gr.skip()


@dataclass(frozen=True, slots=True)
class How:
    """How a question is to be answered: `scope` are the documents to keep to, none means all."""

    mode: AnswerMode
    scope: Sequence[str] = ()
    twice: bool = False  # free answers only

    @property
    def is_twice(self) -> bool:
        """Whether drafts are compared; the box stays ticked while quotes are asked for."""
        return self.twice and self.mode is AnswerMode.FREE


@dataclass(frozen=True, slots=True)
class Running:
    """An answer being made for one tab: `cancel` stops it, `left` says nobody looks any more."""

    cancel: Signal = field(default_factory=Signal)
    left: Signal = field(default_factory=Signal)


class Asking:
    """The answers being made, one a tab at most; `session` is Gradio's name of the tab."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self._running: dict[str, Running] = {}

    def ask(self, place: Place, question: str, how: How, session: str) -> Iterator[Step]:
        """Answer `question` at `place`."""
        question, place = question.strip(), self.desk.existing(place)
        if not question or place.collection is None or session in self._running:
            return
        running = self._running[session] = Running()
        try:
            yield from self._answer(place, question, how, running)
        except Exception as error:
            yield from self._trouble(question, error, running)
        finally:
            running.cancel.set()  # the tab was closed: nobody waits for the rest
            del self._running[session]

    def stop(self, session: str) -> None:
        """End the answer of this tab; what is there is kept."""
        if running := self._running.get(session):
            running.cancel.set()

    def move(self, place: Place, data: Mapping[str, str], session: str) -> Screen:
        """Do what a button says; where that leaves the place, the tab's answer ends undrawn."""
        screen = self.desk.act(place, data)
        running = self._running.get(session)
        if running and screen.place != place:
            running.left.set()
            running.cancel.set()
        return screen

    def _answer(self, place: Place, question: str, how: How, running: Running) -> Iterator[Step]:
        yield Step(
            live=conversation.pending(question, None, ""),
            question="",
            ask=gr.update(visible=False),
            stop=gr.update(visible=True),
        )
        answer = yield from self._stream(place, question, how, running)
        if answer is None:
            return
        place = self._keep(place, answer)
        if not running.left.is_set():
            yield _ended(
                place=place,
                conversation=self.desk.conversation(place),
                live=Html(),
                chats=self.desk.chats(place),
            )

    def _stream(
        self, place: Place, question: str, how: How, running: Running
    ) -> Generator[Step, None, Answer | None]:
        """Draw the answer while it is made; returns it whole, or None if there was none."""
        assert place.collection is not None
        passages: Sequence[RetrievedPassage] | None = None
        text, drawn, checking = "", 0.0, None
        events = self.desk.service.ask(
            place.collection,
            question,
            mode=how.mode,
            documents=how.scope or None,
            history=self._history(place),
            twice=how.is_twice,
            cancel=running.cancel,
        )
        for event in events:
            if isinstance(event, Done):
                return event.answer
            if isinstance(event, Retrieved):
                passages = event.passages
            elif isinstance(event, Checking):
                checking, drawn = event, 0.0  # seldom, and for long: to be seen at once
            elif isinstance(event, TextDelta):
                text += event.text
            if time.monotonic() - drawn >= REDRAW_SECONDS and not running.left.is_set():
                drawn = time.monotonic()
                yield Step(live=conversation.pending(question, passages, text, checking))
        return None

    def _trouble(self, question: str, error: Exception, running: Running) -> Iterator[Step]:
        message = str(error)
        if not known_error(error):
            log.exception("asking failed", exc_info=error)
            message = "Something went wrong here; the server's terminal says what."
        if not running.left.is_set():
            yield _ended(live=conversation.failed(question, message), question=question)

    def _history(self, place: Place) -> list[tuple[str, str]]:
        if place.chat is None:
            return []
        kept = self.desk.library.messages(place.chat)
        return [(message.question, message.answer.text) for message in kept]

    def _keep(self, place: Place, answer: Answer) -> Place:
        """Store an answer; the first one of a chat begins it."""
        library = self.desk.library
        assert place.collection is not None
        answer = self.desk.service.without_removed(place.collection, answer)
        if place.chat is None:
            chat = library.create_chat(place.collection, answer.question)
            place = Place(place.collection, chat.id)
        assert place.chat is not None
        library.add_message(place.chat, answer.question, answer)
        return place


def _ended(**changes: Any) -> Step:
    return Step(ask=gr.update(visible=True), stop=gr.update(visible=False), **changes)
