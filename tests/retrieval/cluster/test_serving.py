"""An index searched by several processes answers exactly as in one."""

import pytest

from retrieval.cluster.connection import connected
from retrieval.cluster.serving import served
from retrieval.index import Index
from retrieval.ingest.reembed import change_ann
from retrieval.ingest.writer import IndexWriter
from retrieval.storage import ann
from retrieval.storage.ann import Kind
from retrieval.types import Mode
from tests.retrieval.cluster.conftest import ray_processes
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = [pytest.mark.slow, pytest.mark.java]

QUESTIONS = ["Who planted apple trees?", "the flood took hives", "oak", "nobody knows this", "  "]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def path(tmp_path_factory, encoder):
    """Three segments, and many passages with the same words, so that scores tie."""
    path = tmp_path_factory.mktemp("served") / "index"
    texts = list(TEXTS.values())
    with IndexWriter(path, encoder) as writer:
        for count in (30, 20, 10):
            for n in range(count):
                writer.add(f"{count}-{n}", f"{n}.txt", extracted(texts[n % 4] + " apple" * (n % 3)))
            writer.commit()
    return path


def answers(index):
    """Hits in every mode, of one question, of several, and of a few documents."""
    return [
        (
            index.search_many(QUESTIONS, k=25, mode=mode),
            index.search(QUESTIONS[0], k=7, mode=mode),
            index.search(QUESTIONS[1], k=9, mode=mode, documents=["30-1", "20-3", "10-2"]),
        )
        for mode in Mode
    ]


def test_several_processes_answer_as_one(nodes, path, encoder, monkeypatch):
    monkeypatch.setattr(ann, "SMALLEST", 5)
    with connected(nodes.address) as ray, served(ray, path, 2, encoder) as index:
        here = Index.open(path, encoder)
        assert len(here.info()["dense"]) == 3
        assert answers(index) == answers(here)

        ray_processes("ray::Reader")[0].kill()
        assert answers(index) == answers(here)

        change_ann(path, Kind.SQ8)
        assert index.refresh()
        assert here.refresh()
        assert all(segment["ann"] for segment in here.info()["dense"])
        assert answers(index) == answers(here)

        with IndexWriter(path, encoder) as writer:
            writer.remove("30-1")
            writer.add("new", "new.txt", extracted("A salmon weir was built."))
            writer.commit()
        assert index.refresh()
        assert here.refresh()
        assert answers(index) == answers(here)
        assert index.search("salmon", k=1, mode=Mode.BM25)[0].passage_id == "new#0"
        here.close()
