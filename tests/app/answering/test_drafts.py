"""When drafts agree, what is asked when they do not, and which answer comes of it."""

import pytest

from app.answering.drafts import WORDS, agree, chosen, compared, doing, outcome
from app.answering.prompt import ABSTAIN, Reading
from app.types import Check, Checking, Outcome

DRAFTS = ("1911", "The year 1911.", "in 1912")


@pytest.mark.parametrize(
    ("drafts", "same"),
    [
        (["The  Teel!", "teel", "a Teel\n"], True),
        (["the River Teel", "Teel"], False),
        (["", ABSTAIN, "the documents do not say"], True),
        (["", "Teel"], False),
        (["1911"], True),
    ],
)
def test_drafts_agree_as_the_squad_script_reads_them(drafts, same):
    assert agree(drafts) is same


def test_the_second_prompt_has_the_drafts_before_the_question():
    second = compared(Reading("When?", ()), ["1911", "in\n1912 ", "1911.", "", "x " * 90])
    assert second.question == (
        "Drafts of an answer to the question below differ:\n"
        f"- 1911\n- in 1912\n- {ABSTAIN}\n- {'x ' * WORDS}…\n"
        "Give the right answer, and nothing else. When?"
    )


@pytest.mark.parametrize(
    ("written", "answer", "became"),
    [
        ("In 1912.", "In 1912.", Outcome.CHOSEN),
        ("1913", "1913", Outcome.REWRITTEN),
        (" \n", "1911", Outcome.KEPT),
    ],
)
def test_what_is_written_then_is_the_answer(written, answer, became):
    assert chosen(DRAFTS, written) == (answer, became)


def test_what_goes_on_is_said_in_words():
    assert doing(Checking(3)) == "writing 3 drafts"
    assert doing(Checking(3, differ=True)) == "comparing 3 drafts"
    assert outcome(Check(3, Outcome.CHOSEN)) == "3 drafts differed, one was chosen"
    assert all(outcome(Check(2, each)) for each in Outcome)
