"""Questions made of sentences: answers are the text's own words, questions do not hold them."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.reading.gap_questions import gap_questions, gaps

TEXT = (
    "Amundsen reached the South Pole on 14 December 1911 with four companions. The ship was built "
    "in Larvik for 3,000 crowns, and its hull of thick oak withstood the pressure of the ice."
)


def asked_for(sentence: str) -> dict[str, tuple[str, ...]]:
    words = sentence.split()
    return {" ".join(words[gap.first : gap.last + 1]): gap.asked_by for gap in gaps(words)}


def test_numbers_names_and_phrases_are_asked_for_by_their_own_words():
    found = asked_for("the old ship left Larvik in June 1910 with 97 sledge dogs for South Georgia")
    assert found["June 1910"] == ("when", "what year", "in what year")
    assert found["97"] == ("how many", "how much")
    assert found["South Georgia"] == ("who", "what", "which")
    assert found["old ship left"] == ("what",)


def test_a_name_behind_a_preposition_of_place_may_be_a_place():
    assert asked_for("built in Larvik last")["Larvik"][0] == "where"


def test_a_capital_at_the_beginning_alone_is_no_name():
    assert "Ships" not in asked_for("Ships sail the sea")
    assert "Roald Amundsen" in asked_for("Roald Amundsen sailed the sea")


def test_answers_are_words_of_the_text_and_not_in_the_question():
    questions = gap_questions(TEXT, 50, random.Random(0))
    assert len(questions) > 8
    for question in questions:
        answer = TEXT[question.start : question.end]
        assert answer.strip(" .,") == answer
        assert question.text.endswith("?")
        assert f" {answer} " not in question.text


def test_the_same_seed_asks_the_same():
    first, second = (gap_questions(TEXT, 3, random.Random(4)) for _ in range(2))
    assert first == second
    assert len(first) == 3


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.integers(0, 4))
def test_any_text_is_asked_about_in_its_own_words(text, count):
    questions = gap_questions(text, count, random.Random(0))
    assert len(questions) <= count
    assert all(0 <= each.start < each.end <= len(text) for each in questions)
