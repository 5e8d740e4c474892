"""The scores of one question by hand; what its figures say."""

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Answered
from app.experiments.qa.asking import ask, figures, is_abstention
from app.experiments.qa.data import QaItem, Text
from app.experiments.qa.prompt import Prompt
from retrieval.evaluation.squad import exact_match, f1_score


class Says:
    """Answers with given words; a prompt is as long as its passages have words."""

    name, digest, prompts, limit = "says", None, tuple(Prompt), 6

    def __init__(self, text):
        self.text = text

    def length(self, prompt, reading):
        return len(reading.question.split()) + sum(len(p.text.split()) for p in reading.passages)

    def answer(self, prompt, reading):
        return Answered(self.text, self.length(prompt, reading), 2)

    def close(self):
        pass


ITEM = QaItem("1", "Which river?", ("the River Teel", "Teel"))
TEXTS = (Text("", "Over the Teel.", "d#0", 2.0), Text("", "And on and on.", "d#1", 1.0))


# Hand-made from the rules of the official scripts: lower case, punctuation, articles, white space.
@pytest.mark.parametrize(
    ("prediction", "answers", "em", "f1"),
    [
        ("The  Teel!", ["Teel"], 1.0, 1.0),
        ("in the river Teel", ["River Teel", "Teel"], 0.0, 0.8),
        ("Teel river", ["river Teel"], 0.0, 1.0),
        ("teel, teel", ["teel"], 0.0, 2 / 3),
        ("a", ["the"], 1.0, 1.0),
        ("well-known", ["well known"], 0.0, 0.0),
        ("Straße", ["straße"], 1.0, 1.0),
        ("", [], 1.0, 1.0),
        ("anything", [], 0.0, 0.0),
    ],
)
def test_scores_are_the_official_ones(prediction, answers, em, f1):
    assert exact_match(prediction, answers) == em
    assert f1_score(prediction, answers) == pytest.approx(f1)


def test_a_question_with_its_passages():
    row = ask(Says(" Teel.\n"), Prompt.PAPER, ITEM, TEXTS[:1], 1)
    assert (row.em, row.f1, row.prediction, row.written) == (1.0, 1.0, "Teel.", " Teel.\n")
    assert (row.answer_in_context, row.abstained, row.cut) == (True, False, False)
    assert row.passages == (("d#0", 2.0),)


def test_a_prompt_too_long_loses_passages_never_the_question():
    row = ask(Says("Rhine"), Prompt.PAPER, ITEM, TEXTS[::-1], 2)
    assert (row.cut, row.read, row.prompt_tokens, row.answer_in_context) == (True, 1, 6, False)
    assert len(row.passages) == 2  # what was retrieved, read or not
    with pytest.raises(ExperimentError, match="question 2 alone is longer than the 6 tokens"):
        ask(Says(""), Prompt.PAPER, QaItem("2", "a b c d e f g", ("x",)), TEXTS, 2)


@pytest.mark.parametrize("text", ["", " \n", "The documents do not say.", "documents do not say"])
def test_silence_is_an_abstention(text):
    assert is_abstention(text)
    impossible = QaItem("3", "Why?", ())
    row = ask(Says(text), Prompt.CHAT, impossible, (), 0)
    assert (row.em, row.f1, row.abstained) == (1.0, 1.0, True)
    assert not is_abstention("They say so.")


def test_figures_are_means_in_percent():
    items = [ITEM, QaItem("4", "Why?", ()), QaItem("5", "Who?", ("Anna Kern",))]
    said = ["Teel", "The documents do not say.", "Kern"]
    rows = [ask(Says(s), Prompt.CHAT, i, TEXTS[:1], 1) for s, i in zip(said, items, strict=True)]
    found = figures(rows)
    assert (found["em"], found["questions"]) == (pytest.approx(200 / 3), 3)
    assert found["f1"] == pytest.approx(100 * (1 + 1 + 2 / 3) / 3)
    assert found["answer_in_context"] == 50.0
    assert found["abstained"] == {"answerable": 0.0, "unanswerable": 100.0}
    assert found["cached_tokens"] == 6
    low, high = found["intervals"]["em"]
    assert 0 <= low < found["em"] < high <= 100
