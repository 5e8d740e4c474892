"""Asking from the page: streaming, stopping, moving away, and what is kept."""

import io
import threading

import pytest

from app.ingest.worker import run_worker
from app.types import AnswerMode, Outcome
from app.ui.asking import Asking, How
from app.ui.desk import Desk
from app.ui.place import Place
from tests.app.serving.api.shelf import QUESTION, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def at_shelf(service):
    return Place(shelf_id(service))


QUOTES, FREE = How(AnswerMode.QUOTE), How(AnswerMode.FREE)


def steps(service, question, session="tab", place=None, how=QUOTES):
    asking = Asking(Desk(service, (), frozenset()))
    return asking, asking.ask(place or at_shelf(service), question, how, session)


def test_asking_from_the_page_streams_and_keeps_the_answer(service):
    _, asked = steps(service, f"  {QUESTION} ")
    first, *_, last = asked
    assert "Searching the documents" in first.live
    assert first.question == ""
    assert "2.91" in last.conversation
    assert last.live == ""
    kept = service.library.messages(last.place.chat)
    assert [(each.question, each.answer.mode.value) for each in kept] == [(QUESTION, "quote")]
    assert QUESTION[:20] in last.chats


def test_a_stopped_answer_is_kept_as_stopped(service):
    asking, asked = steps(service, "Which prompt was never read before this one?", how=FREE)
    for step in asked:
        asking.stop("another tab")  # stops nothing here
        asking.stop("tab")
        last = step
    assert "stopped" in last.conversation
    assert service.library.messages(last.place.chat)[0].answer.stopped


def test_a_tab_that_went_elsewhere_is_left_alone_and_the_answer_kept(service):
    asking, asked = steps(service, QUESTION, how=FREE)
    next(asked)
    here = at_shelf(service)
    empty = str(service.library.collections()[1].id)
    asking.move(here, {"action": "collection", "value": empty}, "tab")
    before = len(service.library.chats(here.collection))
    assert list(asked) == []
    assert len(service.library.chats(here.collection)) == before + 1


def test_a_question_that_fails_says_so_and_comes_back_to_the_box(service):
    _, asked = steps(service, "Anything?", place=Place(service.library.collections()[1].id))
    *_, last = asked
    assert "add one first" in last.live
    assert last.question == "Anything?"


def test_an_answer_checked_twice_says_what_is_going_on(service):
    _, asked = steps(service, QUESTION, how=How(AnswerMode.FREE, twice=True))
    *during, last = asked
    shown = "".join(str(step.live) for step in during)
    assert shown.index("writing 3 drafts…") < shown.index("comparing 3 drafts…")  # it is noise
    assert "3 drafts differed" in last.conversation
    kept = service.library.messages(last.place.chat)[0].answer
    assert (kept.check.drafts, kept.check.outcome is Outcome.AGREED) == (3, False)
    _, asked = steps(service, QUESTION, how=How(AnswerMode.QUOTE, twice=True))
    assert "drafts" not in list(asked)[-1].conversation  # the box counts for free answers


def test_one_answer_a_tab_at_a_time(service):
    asking, asked = steps(service, QUESTION)
    next(asked)
    assert list(asking.ask(at_shelf(service), QUESTION, QUOTES, "tab")) == []
    assert list(asking.ask(at_shelf(service), QUESTION, QUOTES, "other tab")) != []
    assert list(asked) != []


def test_an_answer_loses_the_words_of_a_document_removed_meanwhile(service):
    library = service.library
    said = io.BytesIO(b"The lime kiln at Saltry was lit in 1641.")
    row = library.add_file(shelf_id(service), "kiln.txt", said)
    run_worker(library.home, stop=threading.Event(), once=True)
    _, asked = steps(service, "When was the lime kiln at Saltry lit?")
    for step in asked:
        if "passages found" in str(step.live):
            service.remove(row.id)
        last = step
    run_worker(library.home, stop=threading.Event(), once=True)
    assert "1641" not in last.conversation
    assert "removed" in last.conversation
    assert "1641" not in library.export_markdown(last.place.chat)
