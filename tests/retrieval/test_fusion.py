"""Fusion against hand arithmetic."""

import pytest

from retrieval.fusion import (
    BM25_MINIMUM,
    COSINE_MINIMUM,
    DEFAULT,
    Fusion,
    Method,
    Ranking,
    alone,
    fuse,
    hybrid,
    parse_fusion,
)
from retrieval.records import Scored
from retrieval.types import Part, RetrievalError

CONVEX = Fusion(Method.CONVEX, 0.6)


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
    hits = hybrid(lexical, meaning, 3, fusion=CONVEX)
    assert [(hit.passage_id, pytest.approx(hit.score)) for hit in hits] == [
        ("b", 0.6),
        ("a", 0.4),
        ("c", 0.6 * 0.75 / 1.5),
    ]


def test_inner_products_without_a_least_value_are_counted_from_the_lists_least():
    meaning = [Scored("b", 90.0), Scored("c", 80.0), Scored("d", 70.0)]
    hits = hybrid([], meaning, 3, fusion=CONVEX, unit=False)
    assert [hit.score for hit in hits] == pytest.approx([0.6, 0.3, 0.0])


LEXICAL = [Scored("a", 9.0), Scored("b", 5.0), Scored("c", 3.0)]
MEANING = [Scored("c", 0.8), Scored("d", 0.6), Scored("a", 0.5)]


def scores(hits):
    return [(hit.passage_id, pytest.approx(hit.score)) for hit in hits]


def test_the_raw_sum_gives_a_lists_least_score_to_what_it_lacks():
    found = hybrid(LEXICAL, MEANING, 9, fusion=Fusion(Method.SUM, 10.0))
    assert scores(found) == [
        ("a", 9 + 10 * 0.5),
        ("c", 3 + 10 * 0.8),
        ("b", 5 + 10 * 0.5),  # not among the dense hits: their least, 0.5
        ("d", 3 + 10 * 0.6),  # not among BM25's hits: their least, 3
    ]
    only = hybrid(LEXICAL, [], 9, fusion=Fusion(Method.SUM, 10.0))
    assert scores(only) == [("a", 9.0), ("b", 5.0), ("c", 3.0)]


def test_reciprocal_ranks():
    found = hybrid(LEXICAL, MEANING, 9, fusion=Fusion(Method.RRF, 60.0))
    assert scores(found) == [
        ("a", 1 / 61 + 1 / 63),
        ("c", 1 / 63 + 1 / 61),  # as much as a: the id decides
        ("b", 1 / 62),
        ("d", 1 / 62),
    ]


@pytest.mark.parametrize("method", list(Method))
def test_equal_hits_come_in_one_order_whatever_comes_first(method):
    level = [Scored(id, 1.0) for id in "cab"]
    fusion = Fusion(method, 0.5)
    found = hybrid(level, [], 2, fusion=fusion)
    if method is not Method.RRF:  # there the rank is the score
        assert [hit.passage_id for hit in found] == ["a", "b"]
    assert found == hybrid(level, [], 2, fusion=fusion)
    assert hybrid([], [], 2, fusion=fusion) == []


def test_fusions_have_names():
    assert parse_fusion("convex") == DEFAULT
    assert parse_fusion("rrf") == Fusion(Method.RRF, 60.0)
    assert parse_fusion("sum:12.5") == Fusion(Method.SUM, 12.5)
    assert str(parse_fusion("convex:0.70")) == "convex:0.7"


@pytest.mark.parametrize(
    "text", ["", "borda", "rrf:x", "convex:1.5", "sum:-1", "rrf:nan", "sum:inf"]
)
def test_an_unknown_fusion_is_an_error(text):
    with pytest.raises(RetrievalError, match="convex:A"):
        parse_fusion(text)
