import pytest

from app.answering.followup import Turn, leans_on_history, searched_text

BRIDGE = Turn("When was the Orchard Bridge opened?", "It was opened on 4 May 1911.")


@pytest.mark.parametrize(
    "question",
    ["Who designed it?", "And the cost?", "What about Saturdays?", "Why?", "How long is its span?"],
)
def test_questions_that_lean(question):
    assert leans_on_history(question)


@pytest.mark.parametrize(
    "question", ["Who designed the Orchard Bridge?", "How many books may members borrow?"]
)
def test_questions_that_stand_alone(question):
    assert not leans_on_history(question)
    assert searched_text(question, [BRIDGE]) == question


def test_a_follow_up_takes_the_terms_it_leans_on():
    assert (
        searched_text("Who designed it?", [BRIDGE]) == "Who designed it? Orchard Bridge opened May"
    )
    assert searched_text("Who designed it?", []) == "Who designed it?"


def test_a_chain_of_follow_ups_goes_back_to_the_question_that_stands_alone():
    older = Turn("Who wrote the old charter?", "A clerk.")
    chain = [older, BRIDGE, Turn("Who designed it?", "It was designed by Anna Kern.")]
    searched = searched_text("When was she born?", chain)
    assert searched == "When was she born? designed Orchard Bridge opened Anna Kern"


def test_long_histories_add_few_terms():
    wordy = Turn(" ".join(f"word{n}" for n in range(100)), "")
    assert len(searched_text("Why?", [wordy]).split()) == 13
