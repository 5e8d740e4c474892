"""Fusion against hand arithmetic."""

import pytest

from retrieval.fusion import BM25_MINIMUM, COSINE_MINIMUM, Ranking, alone, fuse, hybrid
from retrieval.records import Scored
from retrieval.types import Part


def bm25(weight, *hits):
    return Ranking("bm25", [Scored(*hit) for hit in hits], weight, BM25_MINIMUM)


def dense(weight, *hits):
    return Ranking("dense", [Scored(*hit) for hit in hits], weight, COSINE_MINIMUM)


def test_scores_are_brought_to_one_scale_from_the_least_possible():
    hits = fuse([bm25(0.25, ("a", 8.0), ("b", 4.0)), dense(0.75, ("b", 0.6), ("c", 0.2))], 3)
    assert [(hit.passage_id, pytest.approx(hit.score)) for hit in hits] == [
        ("b", 0.25 * 4 / 8 + 0.75 * 1.6 / 1.6),
        ("c", 0.75 * 1.2 / 1.6),
        ("a", 0.25 * 8 / 8),
    ]


def test_each_hit_keeps_what_each_retriever_said():
    hits = fuse([bm25(0.5, ("a", 8.0), ("b", 4.0)), dense(0.5, ("b", 0.6))], 2)
    parts = {hit.passage_id: hit.parts for hit in hits}
    assert parts == {
        "a": {"bm25": Part(8.0, 1)},
        "b": {"bm25": Part(4.0, 2), "dense": Part(0.6, 1)},
    }


def test_equal_scores_are_ordered_by_id():
    ranking = bm25(1.0, ("c", 2.0), ("a", 2.0), ("b", 2.0))
    assert [hit.passage_id for hit in fuse([ranking], 2)] == ["a", "b"]


def test_hopeless_and_empty_lists_add_nothing():
    hits = fuse([bm25(0.5), dense(0.5, ("a", -1.0))], 5)
    assert [(hit.passage_id, hit.score) for hit in hits] == [("a", 0.0)]


def test_alone_keeps_raw_scores():
    hits = alone("dense", [Scored("a", 0.5), Scored("b", 0.25)], 1)
    assert [(hit.passage_id, hit.score, hit.parts) for hit in hits] == [
        ("a", 0.5, {"dense": Part(0.5, 1)})
    ]


def test_hybrid_weighs_the_dense_part():
    lexical, meaning = [Scored("a", 2.0)], [Scored("b", 0.5), Scored("c", -0.25)]
    hits = hybrid(lexical, meaning, 3, weight=0.6)
    assert [(hit.passage_id, pytest.approx(hit.score)) for hit in hits] == [
        ("b", 0.6),
        ("a", 0.4),
        ("c", 0.6 * 0.75 / 1.5),
    ]


def test_inner_products_without_a_least_value_are_counted_from_the_lists_least():
    meaning = [Scored("b", 90.0), Scored("c", 80.0), Scored("d", 70.0)]
    hits = hybrid([], meaning, 3, weight=0.6, unit=False)
    assert [hit.score for hit in hits] == pytest.approx([0.6, 0.3, 0.0])
