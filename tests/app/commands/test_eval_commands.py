"""eval retrieval, report and search by name, as they are typed."""

import json

import pytest

from app.cli import build
from app.experiments.run_folder import RunError
from retrieval.types import RetrievalError

pytestmark = pytest.mark.java


@pytest.fixture
def squad(tmp_path):
    texts = {
        "What was built of oak?": ("The press was built of oak by Tomas Berg.", "press"),
        "When was the flood?": ("In 1967 the river flooded the valley.", "1967"),
    }
    paragraphs = [
        {
            "context": text,
            "qas": [
                {
                    "id": f"q{number}",
                    "question": question,
                    "answers": [{"text": answer, "answer_start": text.index(answer)}],
                }
            ],
        }
        for number, (question, (text, answer)) in enumerate(texts.items())
    ]
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "Valley", "paragraphs": paragraphs}]}))
    return path


def orbweaver(*arguments):
    build()(args=[str(argument) for argument in arguments], standalone_mode=False)


def test_two_runs_and_their_comparison(squad, tmp_path, capsys):
    options = ("--mode", "bm25", "--k", "2", "--timed", "1")
    orbweaver("eval", "retrieval", squad, "--out", tmp_path / "a", "--encoder", "none", *options)
    shown = capsys.readouterr().out
    assert "judged documents, 2 questions, percent" in shown
    assert "an answer's words in the text, judged or not, 2 questions" in shown
    assert "AnswerString@1" in shown
    again = ("eval", "retrieval", squad, "--index", tmp_path / "a" / "index", *options, "--json")
    orbweaver(*again, "--out", tmp_path / "b", "--dpr-depth", "0")
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["metrics"]["Success@1"] == result["answer_metrics"]["AnswerString@1"] == 100.0
    assert not (tmp_path / "b" / "results.dpr.json").exists()
    with pytest.raises(RunError, match="finished run"):
        orbweaver(*again, "--out", tmp_path / "b")

    both = (tmp_path / "a", tmp_path / "b", "--out", tmp_path / "report")
    orbweaver("report", *both, "--measure", "Success@1")
    table = capsys.readouterr().out
    assert "| Success@1 | AnswerString@1 | ms |" in table.splitlines()[0]
    assert "b is 0.00 points above a" in table


def test_a_search_is_fused_and_ranked_again_by_name(squad, tmp_path, capsys):
    orbweaver(
        "eval", "retrieval", squad, "--out", tmp_path / "a", "--encoder", "none", "--timed", "0"
    )
    capsys.readouterr()
    index = tmp_path / "a" / "index"
    orbweaver(
        "search", index, "Who built the press?", "--fusion", "rrf", "--rerank", "reader", "--json"
    )
    (hit, *_) = json.loads(capsys.readouterr().out.splitlines()[-1])["hits"]
    assert (hit["passage_id"], set(hit["parts"])) == ("Valley#0", {"bm25", "sentence", "reader"})
    with pytest.raises(RetrievalError, match="no fusion 'borda'"):
        orbweaver("search", index, "press", "--fusion", "borda")
