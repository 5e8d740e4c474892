"""Who is asked for quotes, and how two opinions become one."""

import pytest

from app.answering.quote import SURE, quote_around
from app.answering.quoting import PROPOSED, Mixture, mixed, proposed
from retrieval.types import ReadSpan


def test_a_mixture_is_linear_and_neither_is_believed_without_end():
    both = Mixture(reader=0.5, model=2.0, bias=-1.0)
    assert mixed(2.0, 1.0, both) == pytest.approx(2.0)
    assert mixed(99.0, float("-inf"), both) == pytest.approx(0.5 * SURE - 2.0 * SURE - 1.0)


def test_the_best_spans_are_proposed_and_ties_go_to_the_first():
    spans = [None, *(ReadSpan(0, n, n + 1, float(n % 4)) for n in range(8)), None]
    assert proposed(spans) == [4, 8, 3, 7, 2][:PROPOSED]
    assert proposed([None]) == []


def test_a_quote_is_the_sentences_that_a_span_touches():
    text = "It rained. Anna Kern came. She left. It is green."
    span = ReadSpan(3, text.index("Kern"), text.index("left"), 1.5)
    quote = quote_around(span, text)
    assert text[quote.start : quote.end] == "Anna Kern came. She left."
    assert (quote.passage, quote.focus, quote.score) == (3, (span.start, span.end), 1.5)
