"""The page's layout and wiring: which click calls what, and where its result goes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gradio as gr

from app.types import AnswerMode
from app.ui import about, ask, documents, experiments
from app.ui.asking import Asking, How, Step
from app.ui.desk import Desk, Screen
from app.ui.escape import Html
from app.ui.lab import Lab, View
from app.ui.place import Place

HERE = Path(__file__).parent
REFRESH_SECONDS = 1.5
TEMPORARY = (600, 600)  # seconds: how often, and from what age, Gradio's copies of uploads go
ICON = (
    '<link rel="icon" href="data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22 '
    "viewBox=%220 0 24 24%22 fill=%22none%22 stroke=%22%230b6b66%22 stroke-width=%222%22>"
    '<path d=%22M12 2v20M2 12h20M5 5l14 14M19 5 5 19M12 7l5 5-5 5-5-5Z%22/></svg>">'
)
MANY = 32  # handlers of one kind at once; Gradio's own default is one
# Answers at once. Each holds one of Gradio's 40 threads, and clicks and timers need some too.
ANSWERS = {"concurrency_limit": 24, "concurrency_id": "answers"}

WORDS = {"upload_text.drop_file": "Drop files here", "upload_text.click_to_upload": "Choose them"}

# A page event is not an API endpoint, and draws no progress over what it changes.
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@cache
def script() -> str:
    """What every HTML component runs when it loads."""
    return (HERE / "page.js").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Parts:
    """The page's components."""

    place: gr.State
    chosen: gr.State  # ids of the documents that answers are limited to
    drawn: gr.State
    header: gr.HTML
    ask: ask.AskTab
    documents: documents.DocumentsTab
    experiments: experiments.ExperimentsTab
    about_tab: gr.Tab
    about: gr.HTML
    timer: gr.Timer
    measured: gr.State  # of the experiments, what `drawn` is of the rest

    def screen(self) -> list[Any]:
        """The outputs of a Screen, in its order."""
        tab = self.ask
        return [self.place, self.header, tab.chats, tab.conversation, tab.live, tab.source,
                self.documents.listing, tab.scope, self.chosen, tab.note, self.drawn]  # fmt: skip

    def step(self) -> list[Any]:
        """The outputs of a Step, in its order."""
        tab = self.ask
        return [self.place, tab.conversation, tab.live, tab.chats, tab.question, tab.ask, tab.stop]

    def view(self) -> list[Any]:
        """The outputs of a View, in its order."""
        tab = self.experiments
        return [tab.file, tab.notes, tab.board, tab.comparison, self.measured]


def build(desk: Desk) -> gr.Blocks:
    """The whole page over `desk`."""
    with gr.Blocks(title="Orbweaver", analytics_enabled=False, delete_cache=TEMPORARY) as page:
        parts = _layout(desk)
        _wire(page, parts, desk, Asking(desk))
        _wire_experiments(page, parts, desk, Lab(desk.service))
    page.queue(default_concurrency_limit=MANY, api_open=False)
    return page


def _layout(desk: Desk) -> Parts:
    mode = desk.service.settings.mode
    header = gr.HTML(elem_id="header", apply_default_css=False, js_on_load=script())
    with gr.Tabs(elem_id="tabs"):
        with gr.Tab("Ask"):
            ask_tab = ask.build(script(), mode, desk.note(mode))
        with gr.Tab("Documents"):
            documents_tab = documents.build(script())
        with gr.Tab("Experiments"):
            experiments_tab = experiments.build(script())
        with gr.Tab("About") as about_tab:
            said = gr.HTML(elem_id="about", apply_default_css=False, js_on_load=None)
    place, chosen, drawn = gr.State(Place()), gr.State(()), gr.State("")
    timer = gr.Timer(REFRESH_SECONDS)
    return Parts(place, chosen, drawn, header, ask_tab, documents_tab, experiments_tab, about_tab,
                 said, timer, gr.State(""))  # fmt: skip


def _wire(page: gr.Blocks, parts: Parts, desk: Desk, asking: Asking) -> None:
    """Which event calls what. Gradio fills arguments annotated with its own types by itself."""
    tab, place = parts.ask, parts.place

    def arrive(request: gr.Request) -> Screen:
        return desk.arrive(dict(request.query_params))

    def act(place: Place, event: gr.EventData, request: gr.Request) -> Screen:
        return asking.move(place, event._data, str(request.session_hash))

    def show(place: Place, event: gr.EventData) -> Iterator[Html]:
        yield from desk.show(place, event._data)

    page.load(arrive, None, parts.screen(), **QUIET)
    for clicked in (parts.header, tab.chats, tab.conversation, parts.documents.listing):
        clicked.click(act, place, parts.screen(), trigger_mode="multiple", **QUIET)
    for pointing in (tab.conversation, tab.live, tab.source):
        pointing.select(show, place, tab.source, trigger_mode="always_last", **QUIET)
    _wire_questions(parts, desk, asking)
    _wire_documents(parts, desk)


def _wire_questions(parts: Parts, desk: Desk, asking: Asking) -> None:
    """Typed questions and examples, stopping, and what an answer is limited to."""
    tab, place = parts.ask, parts.place
    how = [tab.mode, parts.chosen, tab.twice]

    def typed(
        place: Place,
        question: str,
        mode: str,
        chosen: tuple[str, ...],
        twice: bool,
        request: gr.Request,
    ) -> Iterator[Step]:
        asked = How(AnswerMode(mode), chosen, twice)
        here = desk.here(place, dict(request.query_params))
        yield from asking.ask(here, question, asked, str(request.session_hash))

    def example(
        place: Place,
        mode: str,
        chosen: tuple[str, ...],
        twice: bool,
        event: gr.EventData,
        request: gr.Request,
    ) -> Iterator[Step]:
        asked = How(AnswerMode(mode), chosen, twice)
        yield from asking.ask(place, event.question, asked, str(request.session_hash))

    def stop(request: gr.Request) -> None:
        asking.stop(str(request.session_hash))

    def limit(place: Place, event: gr.EventData) -> tuple[str, ...]:
        return desk.limit(place, event.chosen)

    asks = [tab.question.submit, tab.ask.click]
    gr.on(asks, typed, [place, tab.question, *how], parts.step(), **ANSWERS, **QUIET)
    tab.conversation.submit(example, [place, *how], parts.step(), **ANSWERS, **QUIET)
    tab.stop.click(stop, None, None, **QUIET)
    tab.scope.limit(limit, place, parts.chosen, trigger_mode="always_last", **QUIET)


def _wire_documents(parts: Parts, desk: Desk) -> None:
    """Dropped files, and what changes by itself while the worker reads them."""
    tab, place = parts.documents, parts.place

    def add(place: Place, paths: list[str], request: gr.Request) -> tuple[None, Html, Html]:
        return desk.add(desk.here(place, dict(request.query_params)), paths)

    def refresh(
        place: Place, chosen: tuple[str, ...], mode: str, drawn: str, request: gr.Request
    ) -> Screen:
        return desk.refresh(place, chosen, mode, drawn, dict(request.query_params))

    def changed(mode: str) -> tuple[Html, Any]:
        return desk.note(mode), gr.update(visible=mode == AnswerMode.FREE)

    seen = [place, parts.chosen, parts.ask.mode, parts.drawn]
    tab.files.upload(add, [place, tab.files], [tab.files, tab.notes, tab.listing], **QUIET)
    parts.timer.tick(refresh, seen, parts.screen(), **QUIET)
    parts.ask.mode.change(changed, parts.ask.mode, [parts.ask.note, parts.ask.twice], **QUIET)
    parts.about_tab.select(lambda: about.text(desk.service), None, parts.about, **QUIET)


def _wire_experiments(page: gr.Blocks, parts: Parts, desk: Desk, lab: Lab) -> None:
    """Starting one, its buttons, and what changes while it runs."""
    tab = parts.experiments

    def start(
        place: Place, kind: str, path: str | None, mode: str, size: str, request: gr.Request
    ) -> View:
        here = desk.here(place, dict(request.query_params))
        return lab.start(here, kind, path, mode, size)

    def act(event: gr.EventData) -> View:
        return lab.act(event._data)

    asked = [parts.place, tab.kind, tab.file, tab.mode, tab.size]
    seen = [tab.board, parts.measured]
    page.load(lab.arrive, None, parts.view(), **QUIET)
    tab.kind.change(lab.hint, tab.kind, tab.hint, **QUIET)
    tab.start.click(start, asked, parts.view(), **QUIET)
    for clicked in (tab.board, tab.comparison):
        clicked.click(act, None, parts.view(), trigger_mode="multiple", **QUIET)
    parts.timer.tick(lab.refresh, parts.measured, seen, **QUIET)
