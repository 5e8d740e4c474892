"""What a model quotes stands in the passages, for any text, though the model be noise."""

import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.answering.prompt import Reading
from app.types import RetrievedPassage
from tests.app.models.test_passage_words import TEXTS
from tests.app.town import DOCUMENTS

relaxed = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def passages(*texts):
    return tuple(
        RetrievedPassage(f"d{n}#0", f"d{n}", f"{n}.txt", "", text, None, 0, len(text), 1.0, {})
        for n, text in enumerate(texts)
    )


@relaxed
@given(texts=st.lists(TEXTS | st.sampled_from([d.text for d in DOCUMENTS]), max_size=3))
def test_every_span_is_whole_words_of_the_first_passage_that_has_them(tiny_model, texts):
    found = tiny_model.find_spans(Reading("Who designed the bridge?", passages(*texts)))
    assert found.spans or not any(map(str.isalnum, "".join(texts)))
    for span in found.spans:
        words = texts[span.passage][span.start : span.end]
        assert words
        assert words == words.strip()
        assert all(not f" {text} ".count(f" {words} ") for text in texts[: span.passage])
    scores = [span.score for span in found.spans]
    assert scores == sorted(scores, reverse=True)


def test_a_question_costs_less_than_twice_a_free_answer(tiny_model):
    reading = Reading("Who designed the Orchard Bridge?", passages(DOCUMENTS[0].text))
    tiny_model.find_spans(reading)
    other = replace(reading, question="When was the deck of the bridge renewed?")
    found = tiny_model.find_spans(other)
    read = found.cache.prompt_tokens - found.cache.cached_tokens
    assert 0 < found.cache.cached_tokens < found.cache.prompt_tokens
    free = read + found.path_tokens
    assert free < read + found.cache.written_tokens < 2 * free
    again = tiny_model.find_spans(other)
    assert again.spans == found.spans
    assert again.cache.cached_tokens == again.cache.prompt_tokens


def test_passages_that_do_not_fit_are_skipped_and_not_miscounted(tiny_model):
    reading = Reading("Why?", passages("Long. " * 2000, "Anna Kern designed it."))
    (best, *_) = tiny_model.find_spans(reading).spans
    assert best.passage == 1


def test_texts_are_weighed_as_spans_are_within_what_the_question_costs(tiny_model):
    text = DOCUMENTS[0].text
    reading = Reading("Who designed the bridge, and when was its deck renewed?", passages(text))
    spans = tiny_model.find_spans(reading).spans[:3]
    texts = [text[span.start : span.end] for span in spans]
    scores, cache = tiny_model.weigh_texts(reading, [texts[0], text, *texts[1:], texts[0]])
    assert scores[1] is None
    assert scores[0] == scores[4] == pytest.approx(spans[0].score, abs=1e-3)
    for score, span in zip(scores[2:4], spans[1:], strict=True):
        assert score is None or score == pytest.approx(span.score, abs=1e-3)
    assert cache.cached_tokens == cache.prompt_tokens
    (only,), _ = tiny_model.weigh_texts(reading, [text[:200]])
    assert only is not None


def test_a_cancelled_search_finds_nothing(tiny_model):
    cancel = threading.Event()
    cancel.set()
    reading = Reading("Why?", passages("Anna Kern designed it."))
    assert tiny_model.find_spans(reading, cancel) is None
    assert tiny_model.weigh_texts(reading, ["Anna"], cancel) is None
