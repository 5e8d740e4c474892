"""A disk that is full at any byte, and folders that may not be written: one line, nothing lost."""

import os
import resource
from contextlib import contextmanager

import pytest

from retrieval.index import Index
from retrieval.ingest.build import build_index
from retrieval.ingest.reembed import reembed
from retrieval.ingest.sync import sync_folder
from retrieval.ingest.writer import IndexWriter
from retrieval.storage.durable import write_file
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import RetrievalError
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = pytest.mark.java
# Bytes that fit into a file: the lock, Lucene's, the manifest's and SQLite's end at different ones.
SIZES = [0, 2, 40, 100, 150, 200, 300, 400, 600, 1_000, 2_000, 4_000, 8_000, 20_000, 50_000]


@contextmanager
def disk_of(size):
    """No file takes a byte beyond `size`: the system refuses it as it would on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def refused(action, size):
    """Whether `action` failed for want of room, with one line that says so."""
    reason = ""
    try:
        with disk_of(size):
            action()
    except RetrievalError as error:
        reason = str(error)
    assert "\n" not in reason
    return bool(reason)


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return [tiny_encoder(tmp_path_factory.mktemp("encoder"), seed=seed) for seed in (0, 1)]


@pytest.fixture
def index(tmp_path, encoders):
    path = tmp_path / "index"
    with IndexWriter(path, encoders[0]) as writer:
        for name, text in TEXTS.items():
            writer.add(name, f"{name}.txt", extracted(text, name))
        writer.commit()
    return path


def documents(path):
    assert verify_index(path) == []
    index = Index.open(path)
    found = {document.id for document in index.documents()}
    hits = index.search("apple", k=100)
    assert {hit.passage_id.split("#")[0] for hit in hits} == found
    index.close()
    return found


def test_a_commit_on_a_full_disk(index, encoders):
    old, new = set(TEXTS), set(TEXTS) - {"bees"} | {"cat"}

    def change():
        with IndexWriter(index, encoders[0]) as writer:
            writer.remove("bees")
            writer.add("cat", "cat.txt", extracted("The miller's cat slept."))
            writer.commit()

    failures = 0
    for size in SIZES:
        generation = Store.open(index).generation
        failures += refused(change, size)
        assert documents(index) == (old if Store.open(index).generation == 1 else new)
        assert Store.open(index).generation >= generation
    assert 8 < failures < len(SIZES)
    change()
    assert documents(index) == new


def test_a_writer_takes_nothing_after_a_change_that_failed(index, encoders, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with IndexWriter(index, encoders[0]) as writer:
        monkeypatch.setattr("retrieval.ingest.writer.write_manifest", full)
        writer.add("cat", "cat.txt", extracted("The miller's cat slept."))
        with pytest.raises(RetrievalError, match="No space left on device; what was committed"):
            writer.commit()  # the manifest comes after the commit point
        monkeypatch.undo()
        for change in (lambda: writer.remove("bees"), writer.commit):
            with pytest.raises(RetrievalError, match="open the index again"):
                change()
    assert documents(index) == {*TEXTS, "cat"}


def test_a_build_on_a_full_disk_goes_on_when_there_is_room(tmp_path):
    docs, out = tmp_path / "docs", tmp_path / "out"
    docs.mkdir()
    for name, text in TEXTS.items():
        (docs / f"{name}.txt").write_text(text)

    def build():
        build_index([docs], out, encoder=None, progress=lambda *_: None, resume=True)

    assert sum(refused(build, size) for size in SIZES[::2]) > 4
    build()
    assert verify_index(out) == []
    assert Store.open(out).counts()[:2] == (len(TEXTS), len(TEXTS))


def test_new_vectors_on_a_full_disk(index, encoders):
    for size in SIZES[::3]:
        refused(lambda: reembed(index, encoders[1]), size)
        assert documents(index) == set(TEXTS)
    reembed(index, encoders[1])
    assert documents(index) == set(TEXTS)
    assert Store.open(index).encoder.makes_vectors_of(encoders[1].info)


def test_half_a_file_is_not_left(tmp_path):
    write_file(tmp_path / "file", b"old")
    with disk_of(10), pytest.raises(OSError, match="too large"):
        write_file(tmp_path / "file", b"new" * 100)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_a_read_only_folder_stays_as_it_is(index, encoders, tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "new.txt").write_text("A new document.")
    allowed = os.access  # root may write anywhere: ask as somebody else would be answered
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    before = {path: path.stat().st_mtime_ns for path in [index, *index.rglob("*")]}
    encoder, quiet = encoders[0], lambda *_: None
    for action in (
        lambda: IndexWriter(index, encoder),
        lambda: reembed(index, None),
        lambda: sync_folder(index, docs, encoder=encoder, progress=quiet),
        lambda: build_index([docs], index, encoder=encoder, progress=quiet, resume=True),
    ):
        with pytest.raises(RetrievalError, match="cannot be written to: Permission denied"):
            action()
    assert {path: path.stat().st_mtime_ns for path in [index, *index.rglob("*")]} == before
    assert documents(index) == set(TEXTS)
