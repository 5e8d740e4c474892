"""Rankings as TREC and DPR write them."""

import json

import ir_measures
import pytest

from retrieval.evaluation.runs import read_run, write_dpr, write_run
from retrieval.records import Scored
from retrieval.types import Hit, Passage, RetrievalError


def test_a_run_is_written_as_trec_wants_it(tmp_path):
    path = tmp_path / "run.trec"
    hits = [Hit("a", 2.0, {}), Hit("b", 1.5, {})]
    assert write_run(path, [("q1", hits), ("q2", [])]) == {"q1": ["a", "b"], "q2": []}
    assert path.read_text() == "q1 Q0 a 1 2.000000 orbweaver\nq1 Q0 b 2 1.500000 orbweaver\n"
    assert read_run(path) == {"q1": [Scored("a", 2.0), Scored("b", 1.5)]}
    assert [each.doc_id for each in ir_measures.read_trec_run(str(path))] == ["a", "b"]


def test_an_id_with_white_space_is_refused(tmp_path):
    with pytest.raises(RetrievalError, match="'a b' holds white space"):
        write_run(tmp_path / "run.trec", [("q1", [Scored("a b", 1.0)])])


def test_a_bad_line_of_a_run_is_named(tmp_path):
    (tmp_path / "run").write_text("q Q0 a 1 2.0 tag\nq Q0 b second 1.0 tag\n")
    with pytest.raises(RetrievalError, match="run:2"):
        read_run(tmp_path / "run")


def test_dpr_results_say_which_passages_hold_an_answer(tmp_path):
    passages = [Passage(f"d#{n}", "d", "T", text, None, 0, 1) for n, text in enumerate("xy")]
    write_dpr(
        tmp_path / "results.json",
        [("q", "which?", ["Y"], [(passages[0], 2.0), (passages[1], 1.0)]), ("r", "none?", [], [])],
    )
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert first["ctxs"] == [
        {"id": "d#0", "title": "T", "text": "x", "score": 2.0, "has_answer": False},
        {"id": "d#1", "title": "T", "text": "y", "score": 1.0, "has_answer": True},
    ]
    assert (first["answers"], second["ctxs"]) == (["Y"], [])
    write_dpr(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []
