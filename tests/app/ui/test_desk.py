"""What clicks, drops and the timer do, over a real library (no index is searched here)."""

import io
from dataclasses import replace

import gradio as gr
import pytest

from app.library import Library, State
from app.serving.service import Service
from app.settings import load_settings
from app.types import Answer, AnswerMode, CacheUse, Citation, Sentence, Timings
from app.ui import documents, scope
from app.ui.desk import UNCHANGED, Desk
from app.ui.page import build
from app.ui.place import Place

HOSTILE = "<img src=x onerror=alert(1)>.txt"


@pytest.fixture
def library(tmp_path):
    return Library.open(tmp_path / "home")


@pytest.fixture
def desk(library):
    settings = load_settings(home=library.home, file_mb=1)
    return Desk(Service(settings, library), ["What is it?"], frozenset())


@pytest.fixture
def shelf(library):
    return Place(library.create_collection("Shelf").id)


def act(desk, place, action, **data):
    return desk.act(place, {"action": action} | data)


def drop(tmp_path, desk, place, name=HOSTILE, content=b"words"):
    upload = tmp_path / name
    upload.write_bytes(content)
    return upload, desk.add(place, [str(upload)])


def ready(library, row):
    for state in (State.PARSING, State.EMBEDDING, State.READY):
        library.advance(row.id, state)


def answered(digest="d" * 64):
    cited = Citation(1, f"{digest}#0", digest, HOSTILE, None, 0, 5, "words")
    return Answer(
        question="What <b>?",
        searched="What <b>?",
        text="words",
        mode=AnswerMode.QUOTE,
        sentences=(Sentence("words", (1,)),),
        citations=(cited,),
        passages=(),
        timings=Timings(0.1, None, 0.1),
        cache=CacheUse(0, 0, "none"),
        model=None,
    )


def test_arriving_anywhere_lands_somewhere(desk, library):
    assert desk.arrive({}).place == Place()
    first = library.create_collection("First").id
    second = library.create_collection("Second").id
    chat = library.create_chat(second, "Chat").id
    assert desk.arrive({}).place == Place(first)
    assert desk.arrive({"collection": str(second), "chat": str(chat)}).place == Place(second, chat)
    assert desk.arrive({"collection": str(first), "chat": str(chat)}).place == Place(first)
    assert desk.arrive({"collection": "99", "chat": "<b>"}).place == Place(first)


def test_collections_are_made_renamed_chosen_and_deleted(desk, library, shelf):
    screen = act(desk, shelf, "new-collection", value="Taxes <b>")
    assert "Taxes &lt;b&gt;" in screen.header
    act(desk, screen.place, "rename-collection", value="Tax papers")
    assert library.collection(screen.place.collection).name == "Tax papers"
    assert act(desk, screen.place, "collection", value=str(shelf.collection)).place == shelf
    assert act(desk, screen.place, "delete-collection").place == shelf
    assert [each.name for each in library.collections()] == ["Shelf"]


def test_what_cannot_be_done_is_said_and_leaves_the_place(desk, shelf):
    screen = act(desk, shelf, "new-collection", value="shelf")
    assert screen.place == shelf
    assert "there is already a collection called" in screen.header
    assert "not there any more" in act(desk, shelf, "remove", id="x").header
    with pytest.raises(KeyError):
        act(desk, shelf, "drop-tables")


def test_dropped_files_are_taken_in_and_their_uploads_vanish(tmp_path, desk, library, shelf):
    upload, (field, notes, listing) = drop(tmp_path, desk, shelf)
    assert not upload.exists()
    assert (field, notes) == (None, "")
    assert 'data-state="queued"' in listing
    assert "&lt;img src=x onerror=alert(1)&gt;.txt" in listing
    assert "<img" not in listing


def test_one_file_too_large_does_not_stop_the_others(tmp_path, desk, library, shelf):
    large, small = tmp_path / "large.txt", tmp_path / "small.txt"
    large.write_bytes(b"x" * (2**20 + 1))
    small.write_bytes(b"x")
    _, notes, listing = desk.add(shelf, [str(large), str(small)])
    assert "large.txt: larger than 1 MB" in notes
    assert [row.name for row in library.documents(shelf.collection)] == ["small.txt"]
    assert "1 document" in listing


def test_failed_documents_come_first_with_reason_retry_and_remove(tmp_path, desk, library, shelf):
    drop(tmp_path, desk, shelf, "good.txt", b"1")
    drop(tmp_path, desk, shelf, "bad.pdf", b"2")
    good, bad = library.documents(shelf.collection)
    ready(library, good)
    library.advance(bad.id, State.FAILED, reason="password-protected")
    listing = desk.screen(shelf).listing
    assert listing.index("bad.pdf") < listing.index("good.txt")
    assert "password-protected" in listing
    assert listing.count('data-action="retry"') == 1
    act(desk, shelf, "retry", id=str(bad.id))
    assert library.document(bad.id).state is State.QUEUED
    act(desk, shelf, "remove", id=str(good.id))
    assert library.document(good.id).state is State.REMOVING


def test_the_timer_redraws_only_what_changed(tmp_path, desk, library, shelf):
    drop(tmp_path, desk, shelf)
    drawn = desk.screen(shelf).drawn
    assert desk.refresh(shelf, (), "quote", drawn, {}) == UNCHANGED
    row = library.documents(shelf.collection)[0]
    ready(library, row)
    after = desk.refresh(shelf, (row.digest, "gone"), "quote", drawn, {})
    assert 'data-state="ready"' in after.listing
    assert after.chosen == (row.digest,)
    assert "checked" in after.scope
    assert desk.limit(shelf, [row.digest, "unknown"]) == (row.digest,)


def test_the_timer_leaves_a_collection_that_another_tab_deleted(desk, library, shelf):
    other = library.create_collection("Other").id
    drawn = desk.screen(shelf).drawn
    library.delete_collection(shelf.collection)
    assert desk.refresh(shelf, (), "quote", drawn, {}).place == Place(other)


def test_a_tab_open_over_a_restart_comes_back_to_its_place(desk, library, shelf):
    second = library.create_collection("Second").id
    query = {"collection": str(second)}
    assert desk.refresh(Place(), (), "quote", "", query).place == Place(second)


def test_before_a_page_has_heard_from_the_server_its_address_says_where_it_is(desk, library, shelf):
    second = library.create_collection("Second").id
    assert desk.here(Place(), {"collection": str(second)}) == Place(second)
    assert desk.here(Place(), {}) == Place(shelf.collection)
    gone = Place(second + 1)
    assert desk.here(gone, {}) == gone  # files for a deleted collection go nowhere else


def test_chats_are_listed_opened_renamed_and_deleted(desk, library, shelf):
    chat = library.create_chat(shelf.collection, "What <b>?")
    library.add_message(chat.id, "What <b>?", answered())
    screen = act(desk, shelf, "open-chat", id=str(chat.id))
    assert screen.place == Place(shelf.collection, chat.id)
    assert f'data-place="?collection={shelf.collection}&amp;chat={chat.id}"' in screen.conversation
    assert "What &lt;b&gt;?" in screen.conversation
    assert f'href="/chats/{chat.id}.md"' in screen.chats
    renamed = act(desk, screen.place, "rename-chat", id=str(chat.id), value="Mills")
    assert renamed.place == screen.place
    assert "Mills" in renamed.chats
    assert act(desk, screen.place, "delete-chat", id=str(chat.id)).place == shelf
    assert library.chats(shelf.collection) == []


def test_a_chat_of_another_collection_is_not_opened_here(desk, library, shelf):
    other = library.create_collection("Other").id
    chat = library.create_chat(other, "Secret")
    screen = act(desk, shelf, "open-chat", id=str(chat.id))
    assert screen.place.chat is None


def test_removing_a_document_redacts_the_chat_on_screen(tmp_path, desk, library, shelf):
    drop(tmp_path, desk, shelf)
    row = library.documents(shelf.collection)[0]
    ready(library, row)
    chat = library.create_chat(shelf.collection, "What?")
    library.add_message(chat.id, "What?", answered(row.digest))
    place = Place(shelf.collection, chat.id)
    assert "words" in desk.screen(place).conversation
    after = act(desk, place, "remove", id=str(row.id))
    assert "words" not in after.conversation
    assert "removed" in after.conversation


def test_opening_words_that_are_gone_says_so(desk, shelf):
    data = {"action": "show", "document": "d" * 64, "start": "0", "end": "5", "page": ""}
    (shown,) = desk.show(shelf, data)
    assert "removed from the collection" in shown
    (closed,) = desk.show(shelf, {"action": "close"})
    assert "Click a citation" in closed


def test_without_a_worker_the_page_says_so(desk, shelf):
    assert "python -m app worker" in desk.screen(shelf).header


def test_examples_stand_where_the_sample_is(tmp_path, desk, library, shelf):
    drop(tmp_path, desk, shelf)
    row = library.documents(shelf.collection)[0]
    sample = Desk(desk.service, ["What is it?"], frozenset({row.digest}))
    assert "What is it?" not in sample.screen(shelf).conversation
    ready(library, row)
    assert 'data-question="What is it?"' in sample.screen(shelf).conversation
    assert "What is it?" not in desk.screen(shelf).conversation


def test_page_events_are_private_and_many_may_run(desk):
    page = build(desk)
    assert isinstance(page, gr.Blocks)
    assert {each.api_visibility for each in page.fns.values()} == {"private"}
    assert all(each.concurrency_limit != 1 for each in page.fns.values())


def test_long_lists_are_cut_and_say_so(library, shelf):
    row = library.add_file(shelf.collection, "one.txt", io.BytesIO(b"1"))
    rows = [replace(row, id=n, digest=str(n), state=State.READY) for n in range(1000)]
    listing = documents.listing([*rows, replace(row, state=State.FAILED, reason="why")])
    assert listing.count('data-state="ready"') == documents.SHOWN - 1
    assert listing.index("why") < listing.index('data-state="ready"')
    assert "and 701 more" in listing
    assert "data-find" in scope.picker(rows, ())
    assert "data-find" not in scope.picker(rows[: scope.FEW], ())
