"""The worker against the real parser, encoder and index."""

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from app.ingest.worker import run_worker
from app.ingest.worker_process import (
    WorkerBusy,
    hold_home,
    start_worker,
    stop_worker,
    worker_status,
)
from app.library import Library, State
from retrieval.index import Index
from tests.app.town import BRIDGE, LIBRARY

TIMEOUT = 120


@pytest.fixture
def library(tmp_path):
    return Library.open(tmp_path / "home")


@pytest.fixture
def shelf(library):
    return library.create_collection("Shelf")


def put(library, shelf, text, name):
    return library.add_file(shelf.id, name, io.BytesIO(text.encode()))


def work(library):
    run_worker(library.home, stop=threading.Event(), once=True)


def wait_for(condition):
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.05)


def found(library, shelf, question):
    index = Index.open(library.index_path(shelf.id))
    try:
        return {index.document(hit.passage_id.split("#")[0]).name for hit in index.search(question)}
    finally:
        index.close()


@pytest.mark.java
def test_queued_documents_become_ready_or_failed_and_removed_ones_go(library, shelf):
    bridge = put(library, shelf, BRIDGE, "bridge.txt")
    rules = put(library, shelf, LIBRARY, "rules.md")
    empty = put(library, shelf, "  \n ", "empty.txt")
    other = library.create_collection("Other")
    put(library, other, BRIDGE, "again.txt")
    work(library)
    states = {row.name: row for row in library.documents(shelf.id)}
    assert states["bridge.txt"].state is State.READY
    assert states["bridge.txt"].passages >= 1
    assert states["rules.md"].state is State.READY
    assert states["empty.txt"].state is State.FAILED
    assert states["empty.txt"].reason
    assert library.collection(other.id).ready == 1
    assert found(library, shelf, "Who designed the bridge?") == {"bridge.txt", "rules.md"}

    library.remove(bridge.id)
    library.remove(empty.id)
    library.delete_collection(other.id)
    work(library)
    assert [row.id for row in library.documents(shelf.id)] == [rules.id]
    assert found(library, shelf, "Who designed the bridge?") == {"rules.md"}
    assert not library.collection_path(other.id).exists()
    assert not any(
        b"Anna Kern" in path.read_bytes() for path in library.home.rglob("*") if path.is_file()
    )


@pytest.mark.java
def test_a_damaged_index_stops_neither_the_worker_nor_other_collections(library, shelf):
    bridge = put(library, shelf, BRIDGE, "bridge.txt")
    work(library)
    (library.index_path(shelf.id) / "passages.db").write_bytes(b"nothing of use" * 99)
    library.remove(bridge.id)
    rules = put(library, shelf, LIBRARY, "rules.txt")
    other = library.create_collection("Other")
    put(library, other, BRIDGE, "again.txt")
    work(library)
    assert library.document(bridge.id).state is State.REMOVING
    assert library.document(rules.id).state is State.FAILED
    assert "could not be indexed" in library.document(rules.id).reason
    assert library.collection(other.id).ready == 1


def test_one_worker_a_home(library):
    assert worker_status(library.home).running is False
    assert worker_status(library.home).seconds_since_beat is None
    with hold_home(library.home):
        status = worker_status(library.home)
        assert status.running
        assert status.seconds_since_beat < 60
        with pytest.raises(WorkerBusy, match="another worker"):
            run_worker(library.home, stop=threading.Event(), once=True)
    assert not worker_status(library.home).running


@pytest.mark.java
def test_a_killed_worker_loses_nothing(library, shelf):
    rows = [put(library, shelf, f"{BRIDGE} Number {n}.", f"{n}.txt") for n in range(3)]
    process = start_worker(library.home)
    wait_for(lambda: library.documents_in(State.PARSING) or library.documents_in(State.EMBEDDING))
    assert worker_status(library.home).running
    process.kill()
    process.wait()
    assert not worker_status(library.home).running
    work(library)
    assert [library.document(row.id).state for row in rows] == [State.READY] * 3
    index = Index.open(library.index_path(shelf.id))
    assert len(index.documents()) == 3
    index.close()


def test_a_worker_ends_when_asked(library):
    process = start_worker(library.home)
    wait_for(lambda: worker_status(library.home).running)
    started = time.monotonic()
    stop_worker(process)
    assert process.returncode == 0
    assert time.monotonic() - started < 5


def test_a_worker_whose_library_is_deleted_ends_with_one_line(library):
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "worker", "--home", str(library.home)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    wait_for(lambda: worker_status(library.home).running)
    shutil.rmtree(library.home)
    _, said = process.communicate(timeout=TIMEOUT)
    assert said == f"error: {library.home}: the library's folder is gone; its worker ends\n"
    assert process.returncode == 1
    assert not library.home.exists()


def test_a_worker_ends_with_its_parent(library):
    program = (
        "import sys, time; from pathlib import Path;"
        "from app.ingest.worker_process import start_worker;"
        "print(start_worker(Path(sys.argv[1])).pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(library.home)], stdout=subprocess.PIPE, text=True
    )
    worker = int(parent.stdout.readline())
    wait_for(lambda: worker_status(library.home).running)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not worker_status(library.home).running)
    wait_for(lambda: not os.path.exists(f"/proc/{worker}"))
