"""A build on two nodes is the build of one process, whoever dies in its midst."""

import json
import sqlite3
import time

import numpy as np
import pytest

from retrieval.cluster import preparing
from retrieval.cluster.connection import connected
from retrieval.cluster.preparing import prepare_on
from retrieval.index import Index
from retrieval.ingest.build import build_index
from retrieval.ingest.writer import DENSE
from retrieval.storage.segments import read_segment
from retrieval.storage.store import FILE, Store
from retrieval.storage.verify import verify_index
from retrieval.types import Mode
from tests.retrieval.cluster.conftest import NODE, ray_processes
from tests.retrieval.conftest import TEXTS
from tests.retrieval.random_encoders import tiny_encoder

pytestmark = [pytest.mark.slow, pytest.mark.java]

FILES = 24
ALL = 500  # more hits than passages: a cut among equals would depend on a vector's last bits


@pytest.fixture(autouse=True)
def small_shares(monkeypatch):
    monkeypatch.setattr(preparing, "FILES", 2)
    monkeypatch.setattr(preparing, "ENTRIES", 3)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    docs = folder / "docs"
    docs.mkdir()
    texts = list(TEXTS.values())
    for n in range(FILES):
        words = " ".join(texts[(n + i) % len(texts)] for i in range(3))
        (docs / f"{n:02}.txt").write_text(f"Chapter {n}. {words}")
    (docs / "copy.txt").write_text((docs / "03.txt").read_text())
    (docs / "empty.txt").write_text("")
    lines = [{"_id": f"e{n}", "title": "", "text": f"number {n} {texts[n % 4]}"} for n in range(30)]
    lines.insert(7, {"_id": "e2", "title": "", "text": "again"})
    entries = [json.dumps(line) for line in lines]
    entries.insert(9, "{no json")
    (folder / "corpus.jsonl").write_text("\n".join(entries) + "\n")
    return [docs, folder / "corpus.jsonl"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


def silent(stage, done, total):
    pass


def contents(path):
    """All that an index holds, and its vectors."""
    database = sqlite3.connect(path / FILE)
    tables = {
        table: database.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
        for table in ("documents", "passages")
    }
    database.close()
    store = Store.open(path)
    parts = [read_segment(path / DENSE, segment) for segment in store.segments()]
    store.close()
    rows = np.concatenate([rows for rows, _ in parts]) if parts else np.empty(0, np.int64)
    vectors = np.concatenate([vectors for _, vectors in parts]) if parts else np.empty((0, 0))
    return tables, rows.tolist(), vectors


def found(path, encoder, mode):
    index = Index.open(path, encoder)
    questions = ["Who planted apple trees?", "the flood", "cider", "Chapter 7", "number 13"]
    hits = index.search_many(questions, k=ALL, mode=mode)
    index.close()
    return hits


def assert_same_index(one, other, encoder):
    tables, rows, vectors = contents(one)
    assert contents(other)[:2] == (tables, rows)
    np.testing.assert_allclose(contents(other)[2], vectors, atol=2e-6)
    # Not hybrid's scores: a random encoder's cosines are so close together that stretching them
    # to [0, 1] would compare the last bits of the vectors.
    for mode in (Mode.BM25, Mode.DENSE) if encoder else [Mode.BM25]:
        for ours, theirs in zip(
            found(one, encoder, mode), found(other, encoder, mode), strict=True
        ):
            assert_same_hits(ours, theirs, 0 if mode is Mode.BM25 else 2e-6)
    if encoder:
        fused = [found(path, encoder, Mode.HYBRID) for path in (one, other)]
        for ours, theirs in zip(*fused, strict=True):
            assert {hit.passage_id for hit in ours} == {hit.passage_id for hit in theirs}


def assert_same_hits(ours, theirs, tolerance):
    """Rank by rank and passage by passage; only scores that are as close may change places."""
    assert len(ours) == len(theirs) < ALL
    assert [hit.score for hit in ours] == pytest.approx(
        [hit.score for hit in theirs], abs=tolerance, rel=0
    )
    assert {hit.passage_id: hit.score for hit in ours} == pytest.approx(
        {hit.passage_id: hit.score for hit in theirs}, abs=tolerance, rel=0
    )
    if not tolerance:
        assert [hit.passage_id for hit in ours] == [hit.passage_id for hit in theirs]


class Killer:
    """Told of progress, it kills a worker that is at work, once a few sources were read."""

    def __init__(self, after):
        self.after = after
        self.killed = None

    def __call__(self, stage, done, total):
        if self.killed is None and done >= self.after:
            for process in ray_processes("ray::Worker.work")[:1]:
                process.kill()
                self.killed = process.pid


def test_a_worker_killed_midway_neither_loses_nor_doubles(nodes, sources, encoder, tmp_path):
    plain = build_index(sources, tmp_path / "plain", encoder=encoder, progress=silent)
    killer = Killer(after=3)
    with connected(nodes.address) as ray:
        report = build_index(
            sources,
            tmp_path / "ray",
            encoder=encoder,
            progress=killer,
            preparing=prepare_on(ray),
        )
    assert killer.killed
    assert report.passages == plain.passages
    assert sorted(report.ready) == sorted(plain.ready)
    assert sorted(map(str, report.failed)) == sorted(map(str, plain.failed))
    assert len(report.failed) == 3
    assert verify_index(tmp_path / "ray") == []
    assert_same_index(tmp_path / "plain", tmp_path / "ray", encoder)


def test_a_lost_machine_neither_loses_nor_doubles(nodes, sources, tmp_path):
    plain = build_index(sources, tmp_path / "plain", encoder=None, progress=silent)
    lost = []

    with connected(nodes.address) as ray:
        third = nodes.add_node(**NODE)  # one that this process is surely not connected to

        def lose(stage, done, total):
            if done >= 3 and not lost:
                nodes.remove_node(third, allow_graceful=False)
                lost.append(third)

        report = build_index(
            sources, tmp_path / "ray", encoder=None, progress=lose, preparing=prepare_on(ray)
        )
        while sum(node["Alive"] for node in ray.nodes()) > 2:  # or the next test may ask it
            time.sleep(0.2)
    assert lost
    assert report.passages == plain.passages
    assert_same_index(tmp_path / "plain", tmp_path / "ray", None)


def test_a_build_goes_on_where_it_was_stopped(nodes, sources, tmp_path):
    def stop(stage, done, total):
        if done >= FILES:
            raise KeyboardInterrupt

    with connected(nodes.address) as ray:
        with pytest.raises(KeyboardInterrupt):
            build_index(
                sources, tmp_path / "ray", encoder=None, progress=stop, preparing=prepare_on(ray)
            )
        build_index(
            sources, tmp_path / "ray", encoder=None, progress=silent, preparing=prepare_on(ray)
        )
    build_index(sources, tmp_path / "plain", encoder=None, progress=silent)
    assert_same_index(tmp_path / "plain", tmp_path / "ray", None)
