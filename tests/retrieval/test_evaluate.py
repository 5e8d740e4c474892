"""Metrics against hand arithmetic; files in, files out."""

import json
from math import log2

import pytest

from retrieval.evaluate import measure, read_queries, read_task, write_run
from retrieval.sources import CorpusEntry
from retrieval.types import Hit, RetrievalError


def test_metrics_by_hand():
    qrels = {"q1": {"a": 1, "b": 2}, "q2": {"c": 1}, "q3": {"d": 1}}
    found = {"q1": ["x", "b", "a"], "q2": ["c"], "q3": []}
    values = measure(qrels, found, ["nDCG@10", "Success@1", "Success@5", "R@20"])
    ndcg = (2 / log2(3) + 1 / log2(4)) / (2 + 1 / log2(3))
    assert values["nDCG@10"] == pytest.approx(100 * (ndcg + 1) / 3)
    assert values["Success@1"] == pytest.approx(100 / 3)
    assert values["Success@5"] == pytest.approx(200 / 3)
    assert values["R@20"] == pytest.approx(200 / 3)


def test_a_run_is_written_as_trec_wants_it(tmp_path):
    hits = [Hit("a", 2.0, {}), Hit("b", 1.5, {})]
    assert write_run(tmp_path / "run.trec", [("q1", hits)]) == {"q1": ["a", "b"]}
    assert (tmp_path / "run.trec").read_text() == (
        "q1 Q0 a 1 2.000000 orbweaver\nq1 Q0 b 2 1.500000 orbweaver\n"
    )


def test_a_bad_query_is_named(tmp_path):
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "1", "text": "x"}\n\n{"_id": "2"}\n')
    with pytest.raises(RetrievalError, match=r"queries.jsonl:3"):
        read_queries(path)
    with pytest.raises(RetrievalError, match="nothing"):
        read_queries(tmp_path / "nothing")


def test_a_beir_folder(tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "title": "t", "text": "x"}\n')
    (tmp_path / "queries.jsonl").write_text(
        '{"_id": "1", "text": "asked"}\n{"_id": "2", "text": "not judged"}\n'
    )
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td\t2\n")
    task = read_task(tmp_path)
    assert task.entries == (CorpusEntry("d", "t", "x"),)
    assert (task.queries, task.qrels) == ({"1": "asked"}, {"1": {"d": 2}})
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td\thigh\n")
    with pytest.raises(RetrievalError, match=r"test.tsv:2"):
        read_task(tmp_path)


def test_squad_paragraphs_are_documents(tmp_path):
    paragraph = {
        "context": "The sky is blue.",
        "qas": [{"id": "q", "question": "What colour?", "answers": []}],
    }
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "The_Sky", "paragraphs": [paragraph]}]}))
    task = read_task(path)
    assert task.entries == (CorpusEntry("The_Sky#0", "The Sky", "The sky is blue."),)
    assert (task.queries, task.qrels) == ({"q": "What colour?"}, {"q": {"The_Sky#0": 1}})
