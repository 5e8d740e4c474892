"""Another encoder for an index in place: old or new at any moment, and stopped runs go on."""

import shutil

import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest import reembed as reembedding
from retrieval.ingest.reembed import STATE, reembed
from retrieval.ingest.writer import IndexWriter
from retrieval.lexical.bm25_writer import Bm25Writer
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import IndexMismatch, Mode, NotAnIndex
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.killed import die_at, dies
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = pytest.mark.java


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("old"), seed=1)


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("new"), seed=2)


@pytest.fixture
def index(tmp_path, old):
    path = tmp_path / "index"
    with IndexWriter(path, old) as writer:
        for name, text in TEXTS.items():
            writer.add(name, f"{name}.txt", extracted(text, name))
        writer.commit()
    return path


def built_anew(folder, encoder):
    with IndexWriter(folder, encoder) as writer:
        for name, text in TEXTS.items():
            writer.add(name, f"{name}.txt", extracted(text, name))
        writer.commit()
    return folder


def hits(path, encoder, mode=Mode.DENSE):
    opened = Index.open(path, encoder)
    try:
        found = opened.search("who flooded the orchard?", k=100, mode=mode)
        return [(hit.passage_id, hit.score) for hit in found]
    finally:
        opened.close()


def test_the_vectors_are_those_of_a_new_build(index, old, new, tmp_path):
    before, lexical = hits(index, old), hits(index, old, Mode.BM25)
    heard = []
    assert reembed(index, new, lambda *of: heard.append(of)) == 2
    passages = Store.open(index).counts()[1]
    assert heard[-1] == (passages, passages)
    assert verify_index(index) == []
    after = hits(index, new)
    assert after != before
    assert after == hits(built_anew(index.with_name("anew"), new), new)
    assert hits(index, new, Mode.BM25) == lexical
    assert not (index / STATE).exists()
    assert len(list((index / "dense").iterdir())) == 1
    with pytest.raises(IndexMismatch, match="reembed"):
        Index.open(index, old)
    with IndexWriter(index, new) as writer:  # documents come and go as before
        writer.add("cat", "cat.txt", extracted("The cat slept."))
        writer.commit()
    assert verify_index(index) == []


def test_passages_too_long_for_the_new_encoder_are_counted(tmp_path, new):
    path = tmp_path / "index"
    with IndexWriter(path, None) as writer:
        writer.add("long", "long.txt", extracted("apple trees " * 60, "Orchard"), whole=True)
        writer.add("short", "short.txt", extracted("apple"), whole=True)
        writer.commit()
    reembed(path, new)
    assert Index.open(path, new).info()["counts"]["truncated"] == 1


def test_an_open_index_follows(index, old, new):
    opened = Index.open(index)
    assert opened.search("bees", mode=Mode.DENSE)
    reembed(index, new)
    assert opened.search("bees", mode=Mode.BM25)
    assert opened.refresh()
    assert opened.encoder.id == new.id
    found = opened.search("bees", k=100, mode=Mode.DENSE)
    direct = Index.open(index, new)
    assert found == direct.search("bees", k=100, mode=Mode.DENSE)
    assert opened.search("bees", mode=Mode.HYBRID)
    direct.close()
    opened.close()


def test_vectors_may_be_added_and_taken_away(index, new):
    assert reembed(index, None) == 2
    assert verify_index(index) == []
    assert Index.open(index).info()["encoder"] is None
    assert list((index / "dense").iterdir()) == []
    assert reembed(index, new) == 3
    assert verify_index(index) == []
    assert hits(index, new)


def test_a_stopped_run_goes_on(index, old, new, monkeypatch, tmp_path):
    monkeypatch.setattr("retrieval.ingest.reembed.PIECE", 1)
    before = hits(index, None)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reembed(index, new, stop)
    assert hits(index, None) == before
    assert verify_index(index) == []
    interrupted = shutil.copytree(index, tmp_path / "copy")
    heard = []
    reembed(index, new, lambda *of: heard.append(of[0]))
    assert heard[0] == 3
    assert verify_index(index) == []
    with IndexWriter(interrupted, old) as writer:  # then the vectors so far are of another state
        writer.remove("bees")
        writer.commit()
    heard.clear()
    reembed(interrupted, new, lambda *of: heard.append(of[0]))
    assert heard[0] == 1
    assert verify_index(interrupted) == []


def test_what_is_no_index_stays_as_it_is(tmp_path, new):
    with pytest.raises(NotAnIndex):
        reembed(tmp_path, new)
    assert list(tmp_path.iterdir()) == []


STEPS = {
    "vectors": (reembedding, "update_segments"),
    "lucene": (Bm25Writer, "commit"),
    "sqlite": (Store, "commit"),
    "forget": (Bm25Writer, "forget_previous"),
    "clean": (reembedding, "delete_unused"),
}
MOMENTS = [(step, when) for step in STEPS for when in ("before", "after")]
COMMITTED = MOMENTS.index(("sqlite", "after"))


def reembed_and_die(folder, model, step, when):
    die_at(*STEPS[step], when)
    reembed(folder, load_encoder(model))


@pytest.mark.slow
@pytest.mark.parametrize(("step", "when"), MOMENTS)
def test_a_killed_run_leaves_old_or_new(index, old, new, step, when):
    dies(reembed_and_die, index, new.id, step, when)
    is_new = MOMENTS.index((step, when)) >= COMMITTED
    assert hits(index, new if is_new else old)
    assert verify_index(index) == []
    reembed(index, new)
    assert verify_index(index) == []
    assert not (index / STATE).exists()
    assert len(list((index / "dense").iterdir())) == 1
    assert hits(index, new) == hits(built_anew(index.with_name("anew"), new), new)
