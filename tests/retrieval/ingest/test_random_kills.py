"""SIGKILL at fifty drawn moments: afterwards the old content or the new one, and it goes on.

The children change an index again and again, so that the generation found afterwards says exactly
what has to be in it, and what they told of says which commits must not be lost.
"""

import json
import os
from itertools import count
from random import Random

import numpy as np
import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest import pipeline
from retrieval.ingest import reembed as reembedding
from retrieval.ingest.build import build_index, building_folder
from retrieval.ingest.reembed import reembed
from retrieval.ingest.sync import plan_sync, sync_folder
from retrieval.ingest.writer import IndexWriter
from retrieval.storage.segments import read_segment
from retrieval.storage.store import FILE, Store
from retrieval.storage.verify import verify_index
from retrieval.types import Mode
from tests.retrieval.conftest import extracted, holding
from tests.retrieval.killed import CONTEXT, killed_at_random
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = [pytest.mark.java, pytest.mark.slow]

SEEDS = range(10)
FILES = {"manifest.json", "passages.db", "writer.lock", "lucene"}
BASE, MORE, BATCH, ENTRIES = 40, 20, 10, 60


@pytest.fixture(scope="module", autouse=True)
def _torch_is_loaded_once():
    CONTEXT.set_forkserver_preload(["__main__", "sentence_transformers", __name__])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    return [tiny_encoder(tmp_path_factory.mktemp("encoder"), seed=seed) for seed in (0, 1)]


def quiet(stage, done, total):
    pass


def word(n):
    return f"zyzzyva{n}x"


def add(writer, numbers):
    for n in numbers:
        writer.add(f"d{n}", f"{word(n)}.txt", extracted(f"apple {word(n)}", word(n)))


@pytest.fixture
def index(tmp_path, encoders):
    path = tmp_path / "index"
    with IndexWriter(path, encoders[0]) as writer:
        for start in (0, BASE // 2):  # so that Lucene and the vectors have two segments
            add(writer, range(start, start + BASE // 2))
            writer.commit()
    return path


def generation_of(path, encoder, expected):
    """Check that the documents are those that `expected` has for the generation; returns it."""
    index = Index.open(path, encoder)
    ids = sorted(f"d{n}" for n in expected(index.generation))
    assert sorted(document.id for document in index.documents()) == ids
    for mode in (Mode.BM25, Mode.DENSE):
        hits = index.search("apple", k=1_000, mode=mode)
        assert sorted(hit.passage_id for hit in hits) == [f"{id}#0" for id in ids]
    index.close()
    assert verify_index(path) == []
    return index.generation


def check_tidy(path):
    """Nothing lies in the folder but what belongs to the index."""
    manifest = json.loads((path / "manifest.json").read_text())
    vectors = {segment["name"] for segment in manifest["dense"]}
    assert set(os.listdir(path)) == FILES | ({"dense"} if manifest["encoder"] else set())
    assert not manifest["encoder"] or set(os.listdir(path / "dense")) == vectors


def add_on(path, encoder, tell):
    with IndexWriter(path, load_encoder(encoder)) as writer:
        tell(writer.generation)
        for n in range(BASE, BASE + MORE):  # a slow first step leaves time for many
            add(writer, [n])
            tell(writer.commit())


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_adding(index, encoders, seed):
    def expected(generation):
        return range(BASE + generation - 2)

    told = killed_at_random(Random(seed), 8, add_on, index, encoders[0].id)
    found = generation_of(index, encoders[0], expected)
    assert found in (told, told + 1)
    with IndexWriter(index, encoders[0]) as writer:
        add(writer, [n for n in range(BASE + MORE) if not writer.has(f"d{n}")])
        writer.commit()
    generation_of(index, encoders[0], lambda _: range(BASE + MORE))
    check_tidy(index)


def remove_on(path, encoder, tell):
    with IndexWriter(path, load_encoder(encoder)) as writer:
        tell(writer.generation)
        for n in range(MORE):
            writer.remove(f"d{n}")
            tell(writer.commit())


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_removing(index, encoders, seed):
    def expected(generation):
        return range(generation - 2, BASE)

    told = killed_at_random(Random(100 + seed), 8, remove_on, index, encoders[0].id)
    found = generation_of(index, encoders[0], expected)
    assert found in (told, told + 1)
    with IndexWriter(index, encoders[0]) as writer:
        for n in range(MORE):
            writer.remove(f"d{n}")
        writer.commit()
    generation_of(index, encoders[0], lambda _: range(MORE, BASE))
    check_tidy(index)
    assert not [n for n in range(MORE) if holding(index, word(n).encode())]
    assert holding(index, word(MORE).encode())


def reembed_on(path, encoders, tell):
    reembedding.PIECE = 7
    chosen = [load_encoder(id) for id in encoders]
    tell(3)
    for generation in count(3):
        tell(reembed(path, chosen[(generation + 1) % 2]))


def vectors(path):
    store = Store.open(path)
    parts = [read_segment(path / "dense", segment)[1] for segment in store.segments()]
    store.close()
    return np.concatenate(parts)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_reembedding(index, encoders, seed):
    made = vectors(index), vectors(reembedded(index, encoders[1]))
    assert not np.allclose(*made, atol=0.1)
    told = killed_at_random(Random(200 + seed), 6, reembed_on, index, [e.id for e in encoders])
    generation = Store.open(index).generation
    assert generation in (told, told + 1)
    generation_of(index, encoders[generation % 2], lambda _: range(BASE))
    np.testing.assert_allclose(vectors(index), made[generation % 2], atol=1e-4)
    for turn in (1, 0):
        reembedded(index, encoders[turn])
        np.testing.assert_allclose(vectors(index), made[turn], atol=1e-4)
        check_tidy(index)
    generation_of(index, encoders[0], lambda _: range(BASE))


def reembedded(path, encoder):
    reembed(path, encoder)
    return path


def build_on(source, out, tell):
    pipeline.PLAIN_BATCH = BATCH

    def progress(stage, done, total):
        if done % BATCH == 0:  # about once a commit
            tell(done)

    tell(0)
    build_index([source], out, encoder=None, progress=progress)
    tell(ENTRIES)


def entries(path):
    """Numbers of the entries that an index of the corpus holds, checked by Lucene too."""
    index = Index.open(path)
    ids = sorted(document.id for document in index.documents())
    hits = index.search("apple", k=1_000, mode=Mode.BM25)
    assert sorted(hit.passage_id for hit in hits) == ids
    index.close()
    assert verify_index(path) == []
    return sorted(int(id) for id in ids)


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_building(tmp_path, seed):
    source, out = tmp_path / "corpus.jsonl", tmp_path / "out"
    lines = [json.dumps({"_id": str(n), "text": f"apple {word(n)}"}) for n in range(ENTRIES)]
    source.write_text("\n".join(lines))
    told = killed_at_random(Random(300 + seed), 2 + ENTRIES // BATCH, build_on, source, out)
    if out.exists():
        assert entries(out) == list(range(ENTRIES))
    elif (building_folder(out) / FILE).exists():
        kept = entries(building_folder(out))
        assert kept == list(range(len(kept)))
        assert len(kept) in (told - BATCH, told)
    else:
        assert told == 0
    report = build_index([source], out, encoder=None, progress=quiet, resume=True)
    assert (report.passages, report.failed) == (ENTRIES, [])
    assert entries(out) == list(range(ENTRIES))
    assert sorted(os.listdir(tmp_path)) == ["corpus.jsonl", "out"]
    check_tidy(out)


def sync_on(index, docs, tell):
    pipeline.PLAIN_BATCH = 1
    tell("begins")
    sync_folder(index, docs, encoder=None, progress=lambda stage, done, total: tell(stage))


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_while_synchronising(tmp_path, seed):
    docs, index = tmp_path / "docs", tmp_path / "index"
    docs.mkdir()
    old = {f"{n}.txt": f"apple {word(n)}" for n in range(8)}
    new = {f"{n}.txt": f"apple {word(n if n < 5 else -n)}" for n in range(3, 11)}
    for name, text in old.items():
        (docs / name).write_text(text)
    build_index([docs], index, encoder=None, progress=quiet)
    for name in old:
        (docs / name).unlink()
    for name, text in new.items():
        (docs / name).write_text(text)

    killed_at_random(Random(400 + seed), len(new) + 6, sync_on, index, docs)
    found = texts(index)
    assert len(found) == len(dict(found))  # of a changed file the old text or the new one
    assert set(found) <= set(old.items()) | set(new.items())
    assert {name for name, _ in found} >= set(old) & set(new)
    sync_folder(index, docs, encoder=None, progress=quiet)
    assert dict(texts(index)) == new
    assert plan_sync(index, docs, quiet).empty
    check_tidy(index)
    left = {n: holding(index, word(n).encode()) for n in (0, 1, 2, 5, 6, 7)}
    assert not any(left.values()), left


def texts(path):
    index = Index.open(path)
    found = [(document.name, index.text(document.id)) for document in index.documents()]
    hits = index.search("apple", k=1_000, mode=Mode.BM25)
    assert len(hits) == len(found)
    index.close()
    assert verify_index(path) == []
    return found
