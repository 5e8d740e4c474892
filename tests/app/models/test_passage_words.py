"""Passages as words: nothing is lost, and quotes begin and end where words do."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.answering.prompt import Reading
from app.models.layout import PromptLayout
from app.models.passage_words import is_inside, placed_words
from app.types import RetrievedPassage
from jamba.tokens.chat import load_tokenizer

relaxed = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
TEXTS = st.text(
    st.one_of(st.sampled_from("aZé9_ .,'-(\n\t$%“日ก\u0301\u200d"), st.characters(codec="utf-8")),
    max_size=30,
)


@pytest.fixture(scope="module")
def tokenizer(model_folder):
    return load_tokenizer(model_folder)


def words(tokenizer, text):
    return placed_words(text, tokenizer.spell(text), lambda word: tokenizer.encode(f" {word}"))


def passage(text, title=""):
    return RetrievedPassage("d#0", "d", "d.txt", title, text, None, 0, len(text), 1.0, {})


@relaxed
@given(text=TEXTS)
def test_words_are_the_tokens_of_the_text_in_order(tokenizer, text):
    found = words(tokenizer, text)
    tokens = [token for each in found for token in each.word.tokens]
    assert tokens == tokenizer.encode(text)[: len(tokens)]
    for each in found:
        written = text[each.start : each.end]
        assert written == written.strip() != ""
        assert tokenizer.decode(each.word.tokens).strip() == written
        assert tokenizer.decode(each.word.first).strip() == (written if each.word.first else "")
        assert not is_inside(text, each.start)
        assert not is_inside(text, each.end)


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        (
            "Don't pay $1,000.50 (or 5%).",
            ["Don't", "pay", "$1,000.50", "(", "or", "5%", ")", "."],
        ),
        ("1990-95: a – b", ["1990", "-", "95", ":", "a", "–", "b"]),
        ("cafe\u0301 नहीं", ["cafe\u0301", "नहीं"]),
        ("東京です", ["東", "京", "で", "す"]),
        ("  \n ", []),
    ],
)
def test_what_a_word_is(tokenizer, text, spoken):
    assert [text[each.start : each.end] for each in words(tokenizer, text)] == spoken


def test_signs_go_with_the_word_that_they_touch(tokenizer):
    text = "Pay $5 (now) – or 5% later."
    found = {text[each.start : each.end]: each.word for each in words(tokenizer, text)}
    assert {sign for sign, word in found.items() if not word.first} == {")", "–", "."}
    assert {sign for sign, word in found.items() if not word.closes} == {"(", "–"}


@relaxed
@given(texts=st.lists(TEXTS.filter(str.strip), max_size=3), title=TEXTS)
def test_the_tokens_of_a_passage_are_those_of_the_prompt(tokenizer, texts, title):
    layout = PromptLayout(tokenizer, "tiny", 10_000)
    reading = Reading("Why?", tuple(passage(text, title) for text in texts))
    prompt = list(layout.prompt(reading).ids)
    for text, tokens in zip(texts, layout.passage_tokens(reading), strict=True):
        ids = [token.id for token in tokens]
        assert any(prompt[at : at + len(ids)] == ids for at in range(len(prompt)))
        assert tokenizer.decode(ids).strip() == text.strip()
        for token in tokens:
            assert 0 <= token.start <= token.end <= len(text)


def test_an_answer_begins_as_the_checkpoint_would_begin_it(tokenizer):
    layout = PromptLayout(tokenizer, "tiny", 10_000)
    assert layout.lead(Reading("Why?", ())) == " "
    assert 0 < layout.question_tokens(Reading("Why?", (passage("Because."),))) < 30
