"""Metrics against hand arithmetic; judged documents and answer strings under different names."""

from math import log2

import pytest

from retrieval.evaluation.evaluate import match_answers, means, measure, measure_each


def test_metrics_by_hand():
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"d": 1}}
    found = {"q1": ["x", "b", "a"], "q2": ["c"], "q3": []}
    values = measure(qrels, found, ["nDCG@10", "Success@1", "Success@5", "R@20"])
    ndcg = (2 / log2(3) + 1 / log2(4)) / (2 + 1 / log2(3))
    assert values["nDCG@10"] == pytest.approx(100 * (ndcg + 1) / 3)
    assert values["Success@1"] == pytest.approx(100 / 3)
    assert values["Success@5"] == pytest.approx(200 / 3)
    assert values["R@20"] == pytest.approx(200 / 3)


def test_every_judged_query_has_a_figure():
    qrels = {"q1": {"a": 1}, "q2": {"b": 1}}
    each = measure_each(qrels, {"q1": ["a"]}, ["R@20"])
    assert each == {"q1": {"R@20": 1.0}, "q2": {"R@20": 0.0}}
    assert measure({}, {}, ["R@20"]) == {"R@20": 0.0}


def test_answer_strings_have_names_of_their_own():
    each = match_answers({"q1": 1, "q2": 7, "q3": None}, (1, 20))
    assert each["q2"] == {"AnswerString@1": 0.0, "AnswerString@20": 1.0}
    assert means(each, ["AnswerString@20"]) == {"AnswerString@20": pytest.approx(200 / 3)}
