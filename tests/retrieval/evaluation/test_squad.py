"""The official scores, by hand-made cases, and what a question file must look like."""

import json

import pytest

from retrieval.evaluation.squad import exact_match, f1_score, normalise_answer, read_squad
from retrieval.types import RetrievalError


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Cat's pyjamas!", "cats pyjamas"),
        ("an apple, a day", "apple day"),
        ("Theatre", "theatre"),
        ("1,500", "1500"),
        ("the", ""),
    ],
)
def test_normalisation_follows_the_official_script(text, normal):
    assert normalise_answer(text) == normal


def test_exact_match_takes_any_answer():
    assert exact_match("The Danube.", ["Rhine", "danube"]) == 1.0
    assert exact_match("Danube river", ["danube"]) == 0.0


def test_f1_counts_shared_tokens_with_the_best_answer():
    assert f1_score("the old stone bridge", ["stone bridge", "bridge"]) == pytest.approx(0.8)
    assert f1_score("river", ["bridge"]) == 0.0


def test_an_unanswerable_question_wants_an_empty_prediction():
    assert (exact_match("", []), f1_score("", [])) == (1.0, 1.0)
    assert (exact_match("something", []), f1_score("something", [])) == (0.0, 0.0)


def test_reading_keeps_offsets_and_drops_answers_that_do_not_stand_there(tmp_path):
    context = "The weir was built in 1932."
    good, bad = {"text": "1932", "answer_start": 22}, {"text": "1932", "answer_start": 3}
    qas = [{"id": 1, "question": " When? ", "answers": [bad, good]}]
    article = {"title": "Weir", "paragraphs": [{"context": context, "qas": qas}]}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [article]}))
    (question,) = read_squad(path)
    assert question.text == "When?"
    assert [context[a.start : a.start + len(a.text)] for a in question.answers] == ["1932"]


def test_another_json_file_is_named_as_no_question_file(tmp_path):
    path = tmp_path / "other.json"
    path.write_text('{"rows": []}')
    with pytest.raises(RetrievalError, match=r"other\.json: not a SQuAD question file"):
        read_squad(path)
