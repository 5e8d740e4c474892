"""Readers beside a writer: each answers from one generation, whole, while others are committed."""

import os
import threading

import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest.pipeline import add_sources
from retrieval.ingest.reembed import reembed
from retrieval.ingest.writer import IndexWriter
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import IndexBusy, Mode
from tests.retrieval.conftest import extracted
from tests.retrieval.killed import CONTEXT
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = pytest.mark.java
COMMITS, KEPT = 6, 3


def holds(generation):
    """The documents of a generation: one that stays, and the last three that came."""
    last = generation - 1
    return {"stays"} | {f"d{n}" for n in range(max(1, last - KEPT + 1), last + 1)}


def write(path, model, first):
    """Commit generations `first` and on, each with a document more and one less."""
    with IndexWriter(path, load_encoder(model) if model else None) as writer:
        for n in range(first, first + COMMITS):
            writer.add(f"d{n}", f"{n}.txt", extracted(f"apple number {n}"))
            writer.remove(f"d{n - KEPT}")
            writer.commit()


@pytest.fixture(
    params=[None, pytest.param("tiny", marks=pytest.mark.slow)], ids=["bm25", "with vectors"]
)
def encoder(request, tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder")) if request.param else None


@pytest.fixture
def index(tmp_path, encoder):
    path = tmp_path / "index"
    with IndexWriter(path, encoder) as writer:
        writer.add("stays", "stays.txt", extracted("apple"))
        writer.commit()
    return path


def check(reader):
    """What is found belongs to the reader's generation, and lacks only what was removed since."""
    modes = [Mode.BM25, Mode.DENSE] if reader.info()["encoder"] else [Mode.BM25]
    for mode in modes:
        before = reader.generation
        hits = [hit.passage_id.split("#")[0] for hit in reader.search("apple", k=100, mode=mode)]
        if reader.generation != before:
            continue  # vectors were replaced before they were read: it has followed
        latest = Store.open(reader.path)
        still_there = holds(latest.generation)
        latest.close()
        assert len(hits) == len(set(hits))
        assert holds(before) & still_there <= set(hits) <= holds(before)


def test_readers_beside_a_writer(index, encoder):
    old = Index.open(index, encoder)
    check(old)
    problems, done = [], threading.Event()

    def follow():
        try:
            reader = Index.open(index, encoder)
            while not done.is_set():
                reader.refresh()
                check(reader)
            reader.close()
        except BaseException as error:
            problems.append(error)

    followers = [threading.Thread(target=follow) for _ in range(2)]
    writer = CONTEXT.Process(target=write, args=(index, encoder.id if encoder else None, 1))
    for each in (*followers, writer):
        each.start()
    while writer.is_alive():
        check(old)
        opened = Index.open(index, encoder)
        check(opened)
        opened.close()
        assert verify_index(index) == []
    done.set()
    for follower in followers:
        follower.join()
    assert problems == []
    assert writer.exitcode == 0
    assert old.generation == 1
    assert old.refresh()
    assert old.generation == COMMITS + 1
    assert {document.id for document in old.documents()} == holds(COMMITS + 1)
    check(old)
    old.close()


def test_a_second_writer_is_refused(index, encoder):
    with IndexWriter(index, encoder) as writer:
        writer.add("first", "first.txt", extracted("the first writer's"))
        for second in (
            lambda: IndexWriter(index, encoder),
            lambda: reembed(index, None),
            lambda: add_sources(index, [], encoder=encoder, progress=lambda *_: None),
        ):
            with pytest.raises(IndexBusy, match=f"being written to by process {os.getpid()}: wait"):
                second()
        writer.commit()
    IndexWriter(index, encoder).close()
    assert Store.open(index).has("first")
    assert verify_index(index) == []
