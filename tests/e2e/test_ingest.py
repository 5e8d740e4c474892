"""The worker as a process: killed in the middle it goes on; what is removed is gone."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from app.answering.answer import answer_question
from app.answering.quoting import Readers
from app.answering.reader import open_reader
from app.ingest.worker_process import start_worker, stop_worker
from app.library import Library, State
from app.sample import sample_files
from app.types import AnswerMode, Done
from retrieval.index import Index
from retrieval.storage.verify import verify_index
from retrieval.types import Mode

pytestmark = [pytest.mark.java, pytest.mark.timeout(420)]

SETTLED = {State.READY, State.FAILED}
SECRET = "zarquonite"  # a word that stands in one document and nowhere else


@contextmanager
def worker(home: Path) -> Iterator[subprocess.Popen]:
    process = start_worker(home)
    try:
        yield process
    finally:
        stop_worker(process)


def wait_until(condition: Callable[[], bool], seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.05)


def states(library: Library, collection_id: int) -> list[State]:
    return [row.state for row in library.documents(collection_id)]


def kill(process: subprocess.Popen) -> None:
    """kill -9 for the worker and its parser children, all at once, with no chance to tidy."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        os.kill(member.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("moment", [State.PARSING, State.EMBEDDING])
def test_a_killed_worker_goes_on_where_it_stopped(tmp_path, moment):
    library = Library.open(tmp_path / "home")
    collection = library.create_collection("River").id
    for path in sample_files():
        library.add_file(collection, path.name, path)

    with worker(library.home) as first:
        wait_until(lambda: moment in states(library, collection))
        kill(first)
    assert set(states(library, collection)) - SETTLED, "it was killed too late to prove anything"

    with worker(library.home):
        wait_until(lambda: set(states(library, collection)) <= SETTLED)
    rows = library.documents(collection)
    assert {row.state for row in rows} == {State.READY}, [row.reason for row in rows]
    path = library.index_path(collection)
    assert verify_index(path) == []
    index = Index.open(path)
    try:
        assert {each.id: each.passages for each in index.documents()} == {
            row.digest: row.passages for row in rows
        }
    finally:
        index.close()


@pytest.fixture
def told(tmp_path) -> Iterator[tuple[Library, int]]:
    """A library with two documents and a worker; one of them says where the secret is kept."""
    library = Library.open(tmp_path / "home")
    collection = library.create_collection("Vault").id
    secret, other = tmp_path / "secret.txt", tmp_path / "other.txt"
    secret.write_text(f"The {SECRET} of the northern vault is kept under the green staircase.\n")
    other.write_text("The bakery on the market square opens at seven in the morning.\n")
    for path in (secret, other):
        library.add_file(collection, path.name, path)
    with worker(library.home):
        wait_until(lambda: set(states(library, collection)) == {State.READY})
        yield library, collection


def ask(library: Library, collection: int, question: str):
    index = Index.open(library.index_path(collection))
    try:
        *_, last = answer_question(question, index=index, readers=Readers(open_reader()))
        assert isinstance(last, Done)
        return last.answer
    finally:
        index.close()


def files_holding(folder: Path, word: str) -> list[str]:
    """Every file that has the word in its bytes, in any case."""
    wanted = word.lower().encode()
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and wanted in path.read_bytes().lower()
    ]


def test_a_removed_document_is_cited_nowhere(told):
    library, collection = told
    question = "Where is the treasure of the northern vault kept?"
    answer = ask(library, collection, question)
    assert answer.mode is AnswerMode.QUOTE
    assert "green staircase" in answer.text
    chat = library.create_chat(collection, question)
    library.add_message(chat.id, question, answer)
    assert files_holding(library.home, SECRET), "the proof below would prove nothing"

    row = next(each for each in library.documents(collection) if each.name == "secret.txt")
    library.remove(row.id)
    wait_until(lambda: len(library.documents(collection)) == 1)

    index = Index.open(library.index_path(collection))
    try:
        assert row.digest not in {each.id for each in index.documents()}
        for mode in Mode:
            for question_again in (question, SECRET):
                found = index.passages(
                    [hit.passage_id for hit in index.search(question_again, mode=mode)]
                )
                assert row.digest not in {passage.document_id for passage in found}
    finally:
        index.close()
    assert "staircase" not in ask(library, collection, question).text
    stored = library.messages(chat.id)[0].answer
    assert all(each.removed for each in stored.citations)
    assert "staircase" not in library.export_markdown(chat.id)
    assert "removed" in library.export_markdown(chat.id)
    assert files_holding(library.home, SECRET) == []
    assert files_holding(library.home, "staircase") == []
