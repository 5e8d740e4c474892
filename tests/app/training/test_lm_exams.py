"""Exams: people's questions behind their passages, made-up ones behind any, anew each edition."""

import random

from app.training.lm_exams import (
    Asked,
    Curriculum,
    asked_passages,
    editions,
    exam,
    plain_passages,
    quote_turns,
)
from retrieval.evaluation.squad import GoldAnswer, Question

PASSAGE = (
    "The lighthouse was built in 1874 by the harbour board. Its lamp burned rape oil at first, and "
    "a keeper lived beside it until the lamp was made automatic in 1961, when he moved to town."
)


def question(text: str, answer: str) -> Question:
    gold = GoldAnswer(answer, PASSAGE.index(answer))
    return Question(text, "The_Lighthouse", 0, PASSAGE, text, (gold,))


QUESTIONS = [question("When was it built?", "1874"), question("What burned?", "rape oil")]


def test_quotes_go_on_exactly_where_the_cue_ends():
    for cue, answer in quote_turns(PASSAGE, 20, random.Random(1)):
        words = cue.removeprefix('What follows "').removesuffix('"?')
        assert f"{words} {answer}" in PASSAGE


def test_short_texts_are_not_quoted_from():
    assert quote_turns("Too short for that.", 3, random.Random(1)) == []


def test_a_passage_has_all_questions_that_people_asked_of_it():
    (asked,) = asked_passages(QUESTIONS)
    assert asked == Asked("The Lighthouse", PASSAGE, tuple(QUESTIONS))
    turns = exam(asked, Curriculum(human=5, quotes=0), random.Random(0)).turns
    assert sorted(turns) == [("What burned?", "rape oil"), ("When was it built?", "1874")]


def test_no_more_questions_than_asked_for():
    (asked,) = asked_passages(QUESTIONS)
    turns = exam(asked, Curriculum(human=1, gaps=2, quotes=1), random.Random(0)).turns
    assert len(turns) == 4


def test_plain_text_has_made_up_questions_twice_as_many():
    text = "\n".join(f"{PASSAGE} {number}." for number in range(9))
    passages = list(plain_passages([text]))
    assert len(passages) > 1
    for passage in passages:
        made = exam(passage, Curriculum(gaps=1, quotes=1), random.Random(0))
        assert made.title == ""
        assert len(made.turns) == 4
        assert all(answer in made.text for _, answer in made.turns)


def test_editions_ask_anew_and_plain_passages_take_turns():
    labelled = asked_passages(QUESTIONS)
    plain = [Asked("", f"{PASSAGE} Note {number}.") for number in range(3)]
    plan = Curriculum(human=1, gaps=1, unlabelled=1.0, editions=3)
    found = list(editions(labelled, plain, plan, random.Random(0)))
    assert [len(exams) for exams in found] == [2, 2, 2]
    assert {each.text for exams in found for each in exams} == {PASSAGE, *(p.text for p in plain)}
    assert len({each.turns for exams in found for each in exams if each.title}) > 1


def test_without_plain_text_there_are_labelled_passages_alone():
    (found,) = editions(asked_passages(QUESTIONS), [], Curriculum(unlabelled=4.0), random.Random(0))
    assert len(found) == 1
