import io
import sqlite3
import threading

import pytest

from app.library import Library, LibraryError, NotFound, State
from app.types import (
    Answer,
    AnswerMode,
    CacheUse,
    Citation,
    RetrievedPassage,
    Sentence,
    Timings,
)
from retrieval.types import Part


@pytest.fixture
def library(tmp_path):
    return Library.open(tmp_path / "home")


@pytest.fixture
def shelf(library):
    return library.create_collection("Shelf")


def put(library, shelf, data=b"some words", name="a.txt"):
    return library.add_file(shelf.id, name, io.BytesIO(data))


def walk(library, document_id, *states, **values):
    for state in states:
        assert library.advance(document_id, state, **values)


def answer(digest, text="The war ended in 1648.", mode=AnswerMode.QUOTE):
    passage = RetrievedPassage(
        f"{digest}#0",
        digest,
        "a.txt",
        "A",
        text,
        2,
        10,
        10 + len(text),
        0.5,
        {"bm25": Part(3.0, 1), "dense": Part(0.5, 2)},
    )
    cited = Citation(1, passage.passage_id, digest, "a.txt", 2, 10, 10 + len(text), text)
    return Answer(
        question="When did it end?",
        searched="When did it end?",
        text=text,
        mode=mode,
        sentences=(Sentence(text, (1,)),),
        citations=(cited,),
        passages=(passage,),
        timings=Timings(0.1, None, 0.2),
        cache=CacheUse(0, 0, "none"),
        model=None,
    )


# Collections


def test_collections_are_named_once_and_renamed(library, shelf):
    with pytest.raises(LibraryError, match="already a collection called 'shelf'"):
        library.create_collection(" shelf ")
    with pytest.raises(LibraryError, match="needs a name"):
        library.create_collection(" \n")
    library.rename_collection(shelf.id, "Box")
    assert [c.name for c in library.collections()] == ["Box"]
    with pytest.raises(NotFound):
        library.rename_collection(99, "x")


def test_a_deleted_collection_is_out_of_sight_and_then_off_the_disk(library, shelf):
    row = put(library, shelf)
    library.create_chat(shelf.id, "Chat")
    library.delete_collection(shelf.id)
    assert library.collections() == []
    assert library.chats(shelf.id) == []
    assert library.documents_in(State.QUEUED) == []
    assert library.create_collection("Shelf").id != shelf.id  # its name is free, its id is not
    assert library.deleted_collections() == [shelf.id]
    library.erase_collection(shelf.id)
    assert library.deleted_collections() == []
    assert not library.file_path(row).exists()


# Documents


def test_a_file_is_kept_by_its_digest_and_counted_once(library, shelf, tmp_path):
    first = put(library, shelf, name="../../etc/passwd")
    assert (first.name, first.state, first.size) == ("passwd", State.QUEUED, 10)
    assert library.file_path(first).read_bytes() == b"some words"
    (tmp_path / "copy.txt").write_bytes(b"some words")
    assert library.add_file(shelf.id, "copy.txt", tmp_path / "copy.txt") == first
    assert [p.name for p in library.file_path(first).parent.iterdir()] == [first.digest]
    other = library.create_collection("Other")
    assert put(library, other).id != first.id


def test_a_file_over_the_limit_leaves_nothing(library, shelf):
    with pytest.raises(LibraryError, match="larger than"):
        library.add_file(shelf.id, "big.bin", io.BytesIO(b"x" * 2**21), max_bytes=2**20)
    assert library.documents(shelf.id) == []
    assert list((library.collection_path(shelf.id) / "files").iterdir()) == []


def test_documents_are_counted_by_state(library, shelf):
    library.add_file(shelf.id, "a.txt", io.BytesIO(b"a"))
    row = library.add_file(shelf.id, "b.txt", io.BytesIO(b"b"))
    library.advance(row.id, State.PARSING)
    counts = library.counts()
    assert (counts[State.QUEUED], counts[State.PARSING], counts[State.READY]) == (1, 1, 0)
    library.delete_collection(shelf.id)
    assert set(library.counts().values()) == {0}


def test_a_document_goes_from_queued_to_ready(library, shelf):
    row = put(library, shelf)
    assert library.advance(row.id, State.READY) is False
    walk(library, row.id, State.PARSING, State.EMBEDDING)
    library.set_progress([row.id], 0.5)
    assert library.document(row.id).progress == 0.5
    walk(library, row.id, State.READY, pages=3, passages=7)
    ready = library.document(row.id)
    assert (ready.state, ready.pages, ready.passages, ready.progress) == (State.READY, 3, 7, 0)
    assert library.collection(shelf.id).ready == 1


def test_a_failed_document_says_why_and_can_be_retried(library, shelf):
    row = put(library, shelf)
    walk(library, row.id, State.PARSING)
    assert library.advance(row.id, State.FAILED, reason="password-protected")
    assert library.document(row.id).reason == "password-protected"
    library.retry(row.id)
    assert (library.document(row.id).state, library.document(row.id).reason) == ("queued", None)
    with pytest.raises(LibraryError, match="only a failed document"):
        library.retry(row.id)


def test_what_a_killed_worker_left_is_queued_again(library, shelf):
    rows = [put(library, shelf, bytes([n]) * 9) for n in range(3)]
    walk(library, rows[0].id, State.PARSING)
    walk(library, rows[1].id, State.PARSING, State.EMBEDDING)
    walk(library, rows[2].id, State.PARSING, State.EMBEDDING, State.READY)
    assert library.requeue_unfinished() == 2
    assert [r.state for r in library.documents(shelf.id)] == ["queued", "queued", "ready"]


def test_what_ends_the_worker_three_times_has_failed(library, shelf):
    row = put(library, shelf)
    for attempt in range(3):
        assert library.document(row.id).attempts == attempt
        walk(library, row.id, State.PARSING)
        library.count_attempts()
        library.requeue_unfinished()
    failed = library.document(row.id)
    assert (failed.state, failed.reason) == ("failed", "reading it ended the worker 3 times")
    library.retry(row.id)
    assert library.document(row.id).attempts == 0


def test_a_removed_document_leaves_and_can_come_back(library, shelf):
    row = put(library, shelf)
    library.remove(row.id)
    assert library.advance(row.id, State.PARSING) is False
    assert library.finish_removal(row.id) is True
    assert not library.file_path(row).exists()
    with pytest.raises(NotFound):
        library.document(row.id)
    assert put(library, shelf).state is State.QUEUED


def test_bytes_added_again_while_being_removed_stay(library, shelf):
    row = put(library, shelf)
    library.remove(row.id)
    again = put(library, shelf, name="b.txt")
    assert (again.id, again.state, again.name) == (row.id, State.QUEUED, "b.txt")
    assert library.finish_removal(row.id) is False
    assert library.file_path(again).exists()


def test_a_search_keeps_off_what_is_being_removed(library, shelf):
    rows = [put(library, shelf, bytes([n]) * 9) for n in range(2)]
    for row in rows:
        walk(library, row.id, State.PARSING, State.EMBEDDING, State.READY)
    assert library.searchable(shelf.id) is None
    library.remove(rows[0].id)
    assert library.searchable(shelf.id) == [rows[1].digest]


def test_orphaned_files_are_swept_once_they_are_old(library, shelf):
    import os

    row = put(library, shelf)
    orphan, young = (library.file_path(row).parent / name for name in ("0" * 64, "incoming-x"))
    orphan.write_bytes(b"x")
    young.write_bytes(b"x")
    os.utime(orphan, (0, 0))
    os.utime(library.file_path(row), (0, 0))
    assert library.sweep_files() == 1
    assert library.file_path(row).exists()
    assert young.exists()


def test_many_threads_add_the_same_file_once(library, shelf):
    rows = []
    threads = [
        threading.Thread(target=lambda n=n: rows.append(put(library, shelf, bytes([n % 3]) * 99)))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 12
    assert len(library.documents(shelf.id)) == 3


# Chats


def test_a_chat_reopens_as_it_was_stored(library, shelf):
    row = put(library, shelf)
    chat = library.create_chat(shelf.id, "When did it end?")
    stored = library.add_message(chat.id, "When did it end?", answer(row.digest))
    assert Library.open(library.home).messages(chat.id) == [stored]
    library.rename_chat(chat.id, "  The  end ")
    assert [c.title for c in library.chats(shelf.id)] == ["The end"]
    library.delete_chat(chat.id)
    assert library.chats(shelf.id) == []
    with pytest.raises(NotFound):
        library.add_message(chat.id, "?", answer(row.digest))


def test_the_chat_used_last_comes_first(library, shelf):
    first, second = (library.create_chat(shelf.id, title) for title in ("one", "two"))
    assert [c.id for c in library.chats(shelf.id)] == [second.id, first.id]
    library.add_message(first.id, "?", answer("d"))
    assert [c.id for c in library.chats(shelf.id)] == [first.id, second.id]


def test_a_removed_document_is_cited_nowhere(library, shelf):
    secret = "The word is xylophone."
    row = put(library, shelf, secret.encode())
    chat = library.create_chat(shelf.id, "Chat")
    library.add_message(chat.id, "Which word?", answer(row.digest, secret))
    library.add_message(chat.id, "Other?", answer("another", "Other words."))
    kept = library.messages(chat.id)[1]
    library.remove(row.id)
    redacted, other = library.messages(chat.id)
    assert redacted.answer.text == "removed"
    assert redacted.answer.citations[0].removed
    assert redacted.answer.passages == ()
    assert other == kept
    library.finish_removal(row.id)
    files = [p for p in library.home.rglob("*") if p.is_file()]
    assert not any(b"xylophone" in p.read_bytes() for p in files)
    assert not any(row.digest.encode() in p.read_bytes() for p in files)
    assert "[1] removed" in library.export_markdown(chat.id)


def test_a_generated_sentence_stays_when_its_source_is_removed(library, shelf):
    row = put(library, shelf)
    chat = library.create_chat(shelf.id, "Chat")
    library.add_message(chat.id, "?", answer(row.digest, mode=AnswerMode.FREE))
    library.remove(row.id)
    (message,) = library.messages(chat.id)
    assert message.answer.text == "The war ended in 1648."
    assert [c.text for c in message.answer.citations] == ["removed"]


def test_markdown_shows_hostile_text_as_text(library, shelf):
    chat = library.create_chat(shelf.id, "# <b>")
    library.add_message(chat.id, "a\n# b?", answer("d", "<script>alert(1)</script> [x](y)"))
    text = library.export_markdown(chat.id)
    assert "<script>" not in text.replace("\\<", "")
    assert "[x](y)" not in text
    assert "\n# b" not in text
    assert 'a\\.txt, page 2: "' in text or 'a.txt, page 2: "' in text


# The file


def test_a_backup_opens_as_a_library(library, shelf, tmp_path):
    row = put(library, shelf)
    walk(library, row.id, State.PARSING, State.EMBEDDING, State.READY)
    gone = put(library, shelf, b"going")
    library.remove(gone.id)
    chat = library.create_chat(shelf.id, "Chat")
    library.add_message(chat.id, "?", answer(row.digest))
    library.backup(tmp_path / "copy")
    copy = Library.open(tmp_path / "copy")
    assert [(d.digest, d.state) for d in copy.documents(shelf.id)] == [(row.digest, "queued")]
    assert copy.file_path(row).read_bytes() == b"some words"
    assert copy.messages(chat.id) == library.messages(chat.id)
    with pytest.raises(LibraryError, match="exists"):
        library.backup(tmp_path / "copy")


def test_a_newer_or_broken_library_is_refused(library, tmp_path):
    db = sqlite3.connect(library.path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(LibraryError, match="newer version"):
        Library.open(library.home)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "library.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(LibraryError, match="cannot be used"):
        Library.open(tmp_path / "bad")


def test_a_library_that_was_deleted_is_not_made_again(library):
    library.path.unlink()
    with pytest.raises(LibraryError, match="was it deleted"):
        library.collections()
    with pytest.raises(LibraryError, match="was it deleted"):
        library.backup(library.home / "kept")
    assert not library.path.exists()
    assert not (library.home / "kept").exists()
