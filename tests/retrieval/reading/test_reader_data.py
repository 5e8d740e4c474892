"""Training examples: clozes point at the span they hide, wrong passages never hold the answer."""

import random

from retrieval.evaluation.squad import GoldAnswer, Question
from retrieval.reading.reader_data import (
    Curriculum,
    Example,
    cloze_examples,
    cloze_spans,
    curriculum,
    wrong_passages,
)

PASSAGES = [
    "In spring the river trust opened Pennock Weir to salmon, and the press came to see it.",
    "Nobody had seen a fish pass the old Pennock Weir since the mill was closed for good.",
    "The mill stood empty for thirty years before the council bought the land around it.",
]


def question(number: int, context: str, answer: str) -> Question:
    gold = GoldAnswer(answer, context.index(answer))
    return Question(str(number), "River", number, context, "Where do salmon pass?", (gold,))


def test_recurring_spans_are_maximal_and_in_two_passages():
    spans = cloze_spans(PASSAGES)
    assert {o.passage for o in spans["pennock weir"]} == {0, 1}
    assert "pennock" not in spans
    assert "weir" not in spans


def test_a_cloze_hides_its_span_and_finds_it_in_another_passage():
    examples = cloze_examples(PASSAGES, random.Random(0), most=10)
    assert examples
    for example in examples:
        start, end = example.span
        assert example.passage[start:end].lower() == "pennock weir"
        assert "Pennock Weir" not in example.question


def test_wrong_passages_are_of_the_same_article_and_lack_the_answer():
    asked = [question(0, PASSAGES[0], "Pennock Weir"), question(2, PASSAGES[2], "thirty years")]
    (example,) = wrong_passages(asked[:1], asked, random.Random(1))
    assert example == Example(asked[0].text, PASSAGES[2], None)


def test_the_curriculum_is_the_same_for_the_same_seed():
    asked = [question(0, PASSAGES[0], "Pennock Weir"), question(2, PASSAGES[2], "thirty years")]
    plan = Curriculum(clozes=2, epochs=2, wrong=0.5)
    first = curriculum(asked, [PASSAGES], plan)
    assert first == curriculum(asked, [PASSAGES], plan)
    assert len([e for e in first if e.span is None]) == 2


def test_made_up_questions_come_anew_in_every_epoch_but_the_first():
    asked = [question(0, PASSAGES[0], "Pennock Weir"), question(2, PASSAGES[2], "thirty years")]
    plain = curriculum(asked, [PASSAGES], Curriculum(clozes=0, epochs=3, wrong=0.0))
    mixed = curriculum(asked, [PASSAGES], Curriculum(clozes=0, epochs=3, wrong=0.0, gaps=2))
    made_up = [e for e in mixed if e.question not in {q.text for q in asked}]
    assert mixed[:2] == plain[:2]
    assert len(mixed) == len(plain) + 4
    assert len({(e.question, e.passage) for e in made_up}) > 2
    assert all(e.span is not None and e.span[1] <= len(e.passage) for e in made_up)
