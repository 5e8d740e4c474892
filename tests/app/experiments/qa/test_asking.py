"""The scores of one question by hand; what its figures say."""

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import LIKELIEST, Answered
from app.experiments.qa.asking import Condition, ask, is_abstention
from app.experiments.qa.data import QaItem, Text
from app.experiments.qa.figures import figures
from app.experiments.qa.prompt import Prompt
from app.experiments.qa.recursive import Drafts
from app.types import Outcome
from retrieval.evaluation.squad import exact_match, f1_score


class Says:
    """Says one text after another, the last for ever; a prompt is as long as it has words."""

    name, digest, prompts = "says", None, tuple(Prompt)

    def __init__(self, *texts, limit=6):
        self.texts, self.limit, self.asked = list(texts), limit, []

    def length(self, prompt, reading):
        return len(reading.question.split()) + sum(len(p.text.split()) for p in reading.passages)

    def answer(self, prompt, reading, how=LIKELIEST):
        self.asked.append((reading, how))
        text = self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]
        return Answered(text, self.length(prompt, reading), 2, len(text.split()))

    def close(self):
        pass


ITEM = QaItem("1", "Which river?", ("the River Teel", "Teel"))
ONE, TWO = Condition(docs=1), Condition(docs=2)
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
    row = ask(Says(" Teel.\n"), Prompt.PAPER, ITEM, TEXTS[:1], ONE)
    assert (row.em, row.f1, row.prediction, row.written) == (1.0, 1.0, "Teel.", " Teel.\n")
    assert (row.answer_in_context, row.abstained, row.cut) == (True, False, False)
    assert row.passages == (("d#0", 2.0),)
    assert (row.docs, row.budget, row.dropped, row.second) == (1, None, (), None)


def test_a_prompt_too_long_loses_passages_never_the_question():
    row = ask(Says("Rhine"), Prompt.PAPER, ITEM, TEXTS[::-1], TWO)
    assert (row.cut, row.read, row.prompt_tokens, row.answer_in_context) == (True, 1, 6, False)
    assert len(row.passages) == 2  # what was retrieved, read or not
    with pytest.raises(ExperimentError, match="question 2 alone is longer than the 6 tokens"):
        ask(Says(""), Prompt.PAPER, QaItem("2", "a b c d e f g", ("x",)), TEXTS, TWO)


def test_a_budget_is_filled_with_whole_passages_and_the_rest_is_logged():
    says = Says("Teel", limit=100)
    texts = (Text("", "On and on and on.", "d#1", 3.0), *TEXTS)
    row = ask(says, Prompt.PAPER, ITEM, texts, Condition(budget=6))
    assert (row.docs, row.budget, row.read, row.cut) == (None, 6, 1, False)
    assert row.passages == (("d#0", 2.0),)
    assert row.dropped == (("d#1", 3.0), ("d#1", 1.0))
    assert row.answer_in_context
    with pytest.raises(ExperimentError, match=r"question 1 alone .* the 1 tokens of the budget"):
        ask(says, Prompt.PAPER, ITEM, texts, Condition(budget=1))
    found = figures([row])
    assert (found["passages_read"], found["passages_dropped"]) == (1, 2)


def test_drafts_that_differ_are_compared_and_the_gain_is_counted():
    drafts = Drafts(3, 0.7, seed=5)
    agreed = ask(Says("Teel", "teel", limit=99), Prompt.PAPER, ITEM, TEXTS[:1], ONE, drafts)
    assert (agreed.second.outcome, agreed.written) == (Outcome.AGREED, "Teel")
    says = Says("Rhine", "the Teel", "Rhine", "Teel", limit=99)
    row = ask(says, Prompt.PAPER, ITEM, TEXTS[:1], ONE, drafts)
    assert (row.written, row.em, row.second.outcome) == ("Teel", 1.0, Outcome.CHOSEN)
    assert row.second.drafts == ("Rhine", "the Teel", "Rhine")
    assert [(how.temperature, how.seed) for _, how in says.asked] == [
        (0.0, 0),
        (0.7, 5),
        (0.7, 6),
        (0.0, 0),
    ]
    assert says.asked[-1][0].passages == says.asked[0][0].passages
    assert row.prompt_tokens == 5
    assert row.second.prompt_tokens > 15  # both drafts and the longer prompt
    found = figures([agreed, row])["recursive"]
    assert (found["em"]["first"], found["em"]["gain"], found["differed"]) == (50.0, 50.0, 50.0)
    assert found["outcomes"] == {"agreed": 1, "chosen": 1, "rewritten": 0, "kept": 0}
    assert found["extra"]["written_tokens"] == 1 + 1 + 2 + 1 + 1
    assert figures([ask(Says("x"), Prompt.PAPER, ITEM, (), ONE)])["recursive"] is None


def test_drafts_without_room_leave_the_first():
    row = ask(Says("Rhine", "Teel"), Prompt.PAPER, ITEM, TEXTS[:1], ONE, Drafts(2, 0.7))
    assert (row.written, row.second.outcome) == ("Rhine", Outcome.KEPT)


@pytest.mark.parametrize("text", ["", " \n", "The documents do not say.", "documents do not say"])
def test_silence_is_an_abstention(text):
    assert is_abstention(text)
    impossible = QaItem("3", "Why?", ())
    row = ask(Says(text), Prompt.CHAT, impossible, (), Condition(docs=0))
    assert (row.em, row.f1, row.abstained) == (1.0, 1.0, True)
    assert not is_abstention("They say so.")


def test_figures_are_means_in_percent():
    items = [ITEM, QaItem("4", "Why?", ()), QaItem("5", "Who?", ("Anna Kern",))]
    said = ["Teel", "The documents do not say.", "Kern"]
    rows = [ask(Says(s), Prompt.CHAT, i, TEXTS[:1], ONE) for s, i in zip(said, items, strict=True)]
    found = figures(rows)
    assert (found["em"], found["questions"]) == (pytest.approx(200 / 3), 3)
    assert found["f1"] == pytest.approx(100 * (1 + 1 + 2 / 3) / 3)
    assert found["answer_in_context"] == 50.0
    assert found["abstained"] == {"answerable": 0.0, "unanswerable": 100.0}
    assert found["cached_tokens"] == 6
    low, high = found["intervals"]["em"]
    assert 0 <= low < found["em"] < high <= 100
