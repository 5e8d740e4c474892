"""Killed with SIGKILL anywhere in a commit: afterwards the old index or the new one, whole."""

import shutil

import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest import writer as writing
from retrieval.ingest.writer import IndexWriter
from retrieval.lexical.bm25_writer import Bm25Writer
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import Mode
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.killed import die_at, dies

pytestmark = pytest.mark.java

STEPS = {
    "vectors": (writing, "update_segments"),
    "lucene": (Bm25Writer, "commit"),
    "sqlite": (Store, "commit"),
    "manifest": (writing, "write_manifest"),
    "forget": (Bm25Writer, "forget_previous"),
    "clean": (writing, "delete_unused"),
}
MOMENTS = [(step, when) for step in STEPS for when in ("before", "after")]
COMMITTED = MOMENTS.index(("sqlite", "after"))


def commit_and_die(folder, step, when):
    encoder = load_encoder() if (folder / "dense").exists() else None
    with IndexWriter(folder, encoder) as writer:
        die_at(*STEPS[step], when)
        writer.remove("bees")
        writer.add("cat", "cat.txt", extracted("The miller's cat slept."))
        writer.commit()


def documents(folder, encoder):
    """Ids of the documents, checked to be the same by every way of asking."""
    index = Index.open(folder, encoder)
    ids = {document.id for document in index.documents()}
    for mode in [Mode.BM25, Mode.DENSE] if encoder else [Mode.BM25]:
        hits = index.search("orchard bees press flood cat", k=100, mode=mode)
        assert {hit.passage_id.split("#")[0] for hit in hits} == ids
    index.close()
    return ids


def check(folder, encoder, step, when):
    old, new = set(TEXTS), set(TEXTS) - {"bees"} | {"cat"}
    dies(commit_and_die, folder, step, when)
    expected = new if MOMENTS.index((step, when)) >= COMMITTED else old
    assert documents(folder, encoder) == expected
    assert verify_index(folder) == []
    with IndexWriter(folder, encoder) as writer:  # the next writer goes on from there
        writer.remove("bees")
        writer.add("cat", "cat.txt", extracted("The miller's cat slept."))
        writer.commit()
    assert documents(folder, encoder) == new
    assert verify_index(folder) == []
    if encoder:
        assert len(list((folder / "dense").iterdir())) == len(Index.open(folder).info()["dense"])


@pytest.mark.parametrize(("step", "when"), [("lucene", "after"), ("sqlite", "after")])
def test_a_killed_commit_leaves_old_or_new(tmp_path, step, when):
    folder = tmp_path / "plain"
    with IndexWriter(folder, None) as writer:
        for name, text in TEXTS.items():
            writer.add(name, f"{name}.txt", extracted(text, name))
        writer.commit()
    check(folder, None, step, when)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "when"), MOMENTS)
def test_a_killed_commit_leaves_old_or_new_with_vectors(small_index, tmp_path, encoder, step, when):
    check(shutil.copytree(small_index, tmp_path / "copy"), encoder, step, when)


@pytest.mark.slow
def test_killed_again_and_again(small_index, tmp_path, encoder):
    folder = shutil.copytree(small_index, tmp_path / "copy")
    for step, when in MOMENTS[:COMMITTED]:
        dies(commit_and_die, folder, step, when)
        assert documents(folder, encoder) == set(TEXTS)
        assert verify_index(folder) == []
