"""FAISS files beside segments: as good as exact, and gone with what they were made of."""

import numpy as np
import pytest

from retrieval.dense import DenseSearcher
from retrieval.index import Index
from retrieval.ingest.reembed import change_ann
from retrieval.ingest.writer import IndexWriter
from retrieval.storage import ann
from retrieval.storage.ann import Kind, ann_problem, choose, open_ann, update_ann, wanted
from retrieval.storage.segments import delete_unused, update_segments
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import IndexDamaged, Mode
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.random_encoders import tiny_encoder

NOBODY = np.empty(0, np.int64)
NOTHING = (NOBODY, np.empty((0, 96), np.float32))
MIB = 2**20


def clustered(count, *, seed=0, unit=True):
    """Vectors as encoders make them: topics within themes, most directions hardly used."""
    shape = np.random.default_rng(7)
    scale = 1 / np.sqrt(1 + np.arange(96))
    themes = shape.normal(size=(40, 96)) * scale
    topics = np.repeat(themes, 15, axis=0) + 0.6 * shape.normal(size=(600, 96)) * scale
    draw = np.random.default_rng(seed)
    made = topics[draw.integers(0, 600, count)] + 0.5 * draw.normal(size=(count, 96)) * scale
    if unit:
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made.astype(np.float32)


def two_segments(folder, unit=True):
    segments = update_segments(
        folder, [], (np.arange(1, 9_001), clustered(9_000, unit=unit)), NOBODY
    )
    more = np.arange(9_001, 15_001), clustered(6_000, seed=1, unit=unit)
    return update_segments(folder, segments, more, NOBODY)


@pytest.fixture
def small(monkeypatch):
    """Segments of any size get files."""
    monkeypatch.setattr(ann, "SMALLEST", 1)


@pytest.mark.parametrize(
    ("rows", "memory", "kind"),
    [
        (100_000, 16 * 2**30, Kind.FLAT),
        (174_000, 16 * 2**30, Kind.FLAT),
        (176_000, 16 * 2**30, Kind.SQ8),
        (699_000, 16 * 2**30, Kind.SQ8),
        (1_000_000, 16 * 2**30, Kind.IVF),
        (100_000, 2**30, Kind.SQ8),
        (100_000, 256 * MIB, Kind.IVF),
    ],
)
def test_size_and_memory_choose(rows, memory, kind):
    assert choose(rows, 384, memory) is kind


def test_a_person_may_choose(tmp_path):
    segments = update_segments(tmp_path, [], (np.arange(3), clustered(3)), NOBODY)
    assert wanted(None, segments, 96) is Kind.FLAT
    assert wanted("hnsw", segments, 96) is Kind.HNSW


@pytest.mark.parametrize(
    ("kind", "unit"),  # a graph by inner products needs vectors of one length
    [(Kind.SQ8, True), (Kind.SQ8, False), (Kind.IVF, True), (Kind.IVF, False), (Kind.HNSW, True)],
)
def test_nearly_all_of_the_exact_hits_are_found(tmp_path, small, kind, unit):
    plain = two_segments(tmp_path, unit)
    exact = DenseSearcher(tmp_path, plain, {})
    quick = DenseSearcher(tmp_path, update_ann(tmp_path, plain, kind), {})
    queries = clustered(60, seed=2, unit=unit)
    right, found = exact.search(queries, 100), quick.search(queries, 100)
    shares = [len(set(a) & set(b)) / 100 for a, b in zip(right, found, strict=True)]
    assert np.mean(shares) >= 0.98  # of (row, score): scores are exact too
    assert quick.search(queries[:1], 100) == [found[0]]


def test_chosen_rows_are_searched_exactly(tmp_path, small):
    plain = two_segments(tmp_path)
    quick = DenseSearcher(tmp_path, update_ann(tmp_path, plain, Kind.IVF), {})
    rows = [5, 8_999, 9_001, 14_000]
    (hits,) = quick.search(clustered(1, seed=2), 10, rows)
    assert sorted(row for row, _ in hits) == rows
    assert hits == DenseSearcher(tmp_path, plain, {}).search(clustered(1, seed=2), 10, rows)[0]


def test_a_file_goes_with_its_segment(tmp_path, small):
    first = update_ann(tmp_path, two_segments(tmp_path), Kind.SQ8)
    left = update_segments(tmp_path, first, NOTHING, np.array([9_500]))
    assert left[0] == first[0]
    assert left[1].ann is None
    second = update_ann(tmp_path, left, Kind.SQ8)
    assert second[0] == first[0]
    delete_unused(tmp_path, second)
    assert len(list(tmp_path.iterdir())) == 4
    rows = {row for row, _ in DenseSearcher(tmp_path, second, {}).search(clustered(1), 14_999)[0]}
    assert len(rows) == 14_999
    assert 9_500 not in rows
    assert [s.ann for s in update_ann(tmp_path, second, Kind.FLAT)] == [None, None]


def test_small_segments_have_none(tmp_path):
    assert all(s.ann is None for s in update_ann(tmp_path, two_segments(tmp_path), Kind.IVF))


def test_damage_is_found(tmp_path, small):
    segment = update_ann(tmp_path, two_segments(tmp_path), Kind.IVF)[0]
    assert ann_problem(tmp_path, segment.ann) is None
    path = tmp_path / segment.ann.name
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)
    assert "SHA-256" in ann_problem(tmp_path, segment.ann)
    with pytest.raises(IndexDamaged):
        open_ann(tmp_path, segment.ann)
    path.unlink()
    assert "missing" in ann_problem(tmp_path, segment.ann)
    with pytest.raises(FileNotFoundError):
        open_ann(tmp_path, segment.ann)


@pytest.mark.java
def test_an_index_changes_its_kind_and_stays_whole(tmp_path, small):
    path, encoder = tmp_path / "index", tiny_encoder(tmp_path / "encoder")
    with IndexWriter(path, encoder) as writer:
        for name, text in TEXTS.items():
            writer.add(name, name, extracted(text, name))
        writer.commit()
    opened = Index.open(path, encoder)
    hits = opened.search("bees in the valley", mode=Mode.DENSE)
    for kind in (Kind.SQ8, Kind.IVF, Kind.HNSW, Kind.FLAT, Kind.SQ8):
        change_ann(path, kind)
        assert opened.refresh()
        found = opened.search("bees in the valley", mode=Mode.DENSE)
        assert {(h.passage_id, h.score) for h in found} <= {(h.passage_id, h.score) for h in hits}
        if kind is not Kind.IVF:  # reads one of the few lists that so few vectors make
            assert found == hits
        assert verify_index(path) == []
    with IndexWriter(path, encoder) as writer:  # keeps the kind that was asked for
        writer.remove("bees")
        writer.add("cat", "cat", extracted("The miller's cat slept."))
        writer.commit()
    segments = Store.open(path).segments()
    assert {s.ann.kind for s in segments} == {"sq8"}
    assert len(list((path / "dense").iterdir())) == 2 * len(segments)
    assert verify_index(path) == []
    opened.refresh()
    found = opened.search("bees in the valley", mode=Mode.DENSE)
    left = {hit.passage_id.partition("#")[0] for hit in found}
    assert left == {"cat", "flood", "orchard", "press"}
    change_ann(path, None)
    assert {s.ann for s in Store.open(path).segments()} == {None}
    opened.close()
