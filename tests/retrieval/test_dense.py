"""Exact search over segments, and how segments are kept few."""

import numpy as np
import pytest

from retrieval.dense import DenseSearcher
from retrieval.storage.segments import (
    delete_unused,
    mergeable,
    read_segment,
    segment_problem,
    update_segments,
)
from retrieval.types import IndexDamaged

NOTHING = (np.empty(0, np.int64), np.empty((0, 4), np.float32))
NOBODY = np.empty(0, np.int64)


def vectors(count, seed=0, width=4):
    made = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


def added(first, count, seed=0):
    return np.arange(first, first + count, dtype=np.int64), vectors(count, seed)


def searcher_of(folder, segments):
    return DenseSearcher(folder, segments, {})


def test_several_segments_are_searched_as_one(tmp_path):
    parts = [added(1, 30), added(31, 20, seed=1), added(51, 10, seed=2)]
    segments = []
    for part in parts:
        segments = update_segments(tmp_path, segments, part, NOBODY)
    assert len(segments) == 3
    together = update_segments(
        tmp_path, [], tuple(map(np.concatenate, zip(*parts, strict=True))), NOBODY
    )
    one, many = searcher_of(tmp_path, together), searcher_of(tmp_path, segments)
    query = vectors(5, seed=3)
    assert many.search(query, 12) == one.search(query, 12)
    assert many.search(query, 12, [2, 31, 59]) == one.search(query, 12, [2, 31, 59])


def test_segments_in_memory_are_not_read_again(tmp_path):
    first = update_segments(tmp_path, [], added(1, 30), NOBODY)
    searcher = searcher_of(tmp_path, first)
    both = update_segments(tmp_path, first, added(31, 2, seed=1), NOBODY)
    (tmp_path / first[0].name).unlink()
    newer = DenseSearcher(tmp_path, both, searcher.parts)
    assert len(newer) == 32


def test_search_equals_a_product_by_hand(tmp_path):
    rows, made = added(10, 50)
    searcher = searcher_of(tmp_path, update_segments(tmp_path, [], (rows, made), NOBODY))
    query = vectors(3, seed=1)
    for found, scores in zip(searcher.search(query, 5), query @ made.T, strict=True):
        best = np.argsort(-scores)[:5]
        assert [row for row, _ in found] == rows[best].tolist()
        assert [score for _, score in found] == pytest.approx(scores[best].tolist(), abs=1e-6)


def test_only_chosen_rows_are_searched(tmp_path):
    rows, made = added(1, 50)
    searcher = searcher_of(tmp_path, update_segments(tmp_path, [], (rows, made), NOBODY))
    query = vectors(1, seed=1)
    (found,) = searcher.search(query, 100, [3, 20, 41])
    assert sorted(row for row, _ in found) == [3, 20, 41]
    everything = dict(searcher.search(query, 50)[0])
    assert all(score == everything[row] for row, score in found)
    assert searcher.search(query, 5, []) == [[]]


def test_more_than_there_is_and_nothing_at_all(tmp_path):
    segments = update_segments(tmp_path, [], added(1, 3), NOBODY)
    assert len(searcher_of(tmp_path, segments).search(vectors(1), 100)[0]) == 3
    assert searcher_of(tmp_path, []).search(vectors(2), 5) == [[], []]


def test_removal_rewrites_only_the_segments_it_touches(tmp_path):
    segments = update_segments(tmp_path, [], added(1, 8), NOBODY)
    segments = update_segments(tmp_path, segments, added(9, 4, seed=1), NOBODY)
    assert [s.rows for s in segments] == [8, 4]
    fewer = update_segments(tmp_path, segments, NOTHING, np.array([2, 3]))
    assert fewer[1] == segments[1]
    assert read_segment(tmp_path, fewer[0])[0].tolist() == [1, 4, 5, 6, 7, 8]
    delete_unused(tmp_path, fewer)
    assert {path.name for path in tmp_path.iterdir()} == {s.name for s in fewer}
    gone = update_segments(tmp_path, fewer, NOTHING, np.arange(1, 13))
    assert gone == []


def test_small_segments_are_carried_like_a_binary_counter(tmp_path):
    segments = []
    for first in range(1, 65):
        segments = update_segments(tmp_path, segments, added(first, 1, seed=first), NOBODY)
        assert len(segments) <= 7
    assert [s.rows for s in segments] == [64]
    assert read_segment(tmp_path, segments[0])[0].tolist() == list(range(1, 65))


@pytest.mark.parametrize(
    ("sizes", "new", "first"),
    [([], 5, 0), ([8], 4, 1), ([8, 4], 4, 0), ([50_000], 50_000, 1), ([30_000], 30_000, 1)],
)
def test_what_joins(sizes, new, first):
    assert mergeable(sizes, new) == first


def test_damage_is_found(tmp_path):
    (segment,) = update_segments(tmp_path, [], added(1, 8), NOBODY)
    assert segment_problem(tmp_path, segment) is None
    path = tmp_path / segment.name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "SHA-256" in segment_problem(tmp_path, segment)
    path.write_bytes(content[:-4])
    with pytest.raises(IndexDamaged):
        read_segment(tmp_path, segment)


def test_a_removal_reads_and_writes_only_the_segments_it_touches(tmp_path, monkeypatch):
    segments = []
    for first, count in ((1, 30), (31, 20), (51, 10)):
        segments = update_segments(tmp_path, segments, added(first, count), NOBODY)
    read = []

    def reading(folder, segment):
        read.append(segment)
        return read_segment(folder, segment)

    monkeypatch.setattr("retrieval.storage.segments.read_segment", reading)
    left = update_segments(tmp_path, segments, NOTHING, np.array([40, 60]))
    assert read == segments[1:]
    assert left[0] == segments[0]
    assert [segment.rows for segment in left] == [30, 19, 9]
