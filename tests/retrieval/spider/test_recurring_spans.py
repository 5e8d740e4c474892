"""Recurring spans: the paper's rules on hand-made documents, and a slow oracle on random ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.spider.recurring_spans import (
    OFFICIAL_CODE,
    PAPER,
    STOP_WORDS,
    SpanRules,
    spider_spans,
)

ELSEWHERE = "Nothing here returns."


def words(passages, rules=PAPER):
    return {span.words for span in spider_spans(passages, rules)}


def test_a_span_is_found_where_it_stands():
    passages = ["Salmon pass Pennock Weir.", "The old pennock\nweir, closed.", ELSEWHERE]
    (span,) = spider_spans(passages)
    assert span.words == "pennock weir"
    at = [(o.passage, passages[o.passage][o.start : o.end]) for o in span.occurrences]
    assert at == [(0, "Pennock Weir"), (1, "pennock\nweir")]


def test_only_the_longest_span_counts_where_all_occur_as_often():
    shared = "grand canal of china"
    passages = [f"One {shared} here", f"Two {shared} there", ELSEWHERE]
    assert words(passages) == {shared}
    more = [*passages, "a grand canal"]  # the shorter one occurs once more
    assert words(more) == {shared, "grand canal"}


def test_two_to_ten_tokens():
    eleven = "b c d e f g h j k l m"
    assert words(["x b", "y b", ELSEWHERE]) == set()
    assert words([f"x {eleven}", f"y {eleven}", ELSEWHERE]) == {eleven[:-2], eleven[2:]}
    nine = {eleven[at : at + 17] for at in (0, 2, 4)}
    again = [f"x {eleven}", f"y {eleven}", ELSEWHERE, "the last one"]
    assert words(again, OFFICIAL_CODE) == nine


def test_stop_words_alone_are_no_span_and_the_code_wants_none_at_the_ends():
    passages = ["she was in the mill of glass", "it was in the mill of wood", ELSEWHERE, "x"]
    assert words(passages) == {"was in the mill of"}
    assert words(passages, OFFICIAL_CODE) == set()


def test_marks_mixtures_and_blank_lines_end_a_span():
    for text in (
        "river, trust",
        "river B2 trust",
        "river\n\ntrust",
        "river-trust",
        "river _ trust",
    ):
        assert words([text, text + ".", ELSEWHERE]) == set(), text


def test_two_passages_with_and_one_without():
    assert words(["river trust", "x", "y"]) == set()
    assert words(["river trust and river trust", "x", "y"]) == set()
    assert words(["river trust"] * 3) == set()
    assert words(["river trust"] * 2) == set()
    assert words(["river trust", "river trust", "x"]) == {"river trust"}


def test_the_official_code_leaves_the_last_passage_out():
    passages = ["river trust", "x", "y", "river trust"]
    assert words(passages) == {"river trust"}
    assert words(passages, OFFICIAL_CODE) == set()


def test_single_tokens_are_capitalised_or_years():
    single = SpanRules(shortest=1)
    passages = ["Berg came 1931 ago 32 weeks", "by 1931 Berg was 32 ago", ELSEWHERE]
    assert words(passages, single) == {"berg", "1931"}


def test_nothing_gives_nothing():
    assert spider_spans([]) == []
    assert spider_spans(["", "", ""]) == []
    assert spider_spans(["...", "?", "!"]) == []


def naive(passages, rules):
    """The definition, word by word, over text of single letters, stop words and full stops."""
    used = passages if rules.last_passage else passages[:-1]
    found = {}
    for number, passage in enumerate(used):
        for first in range(len(passage)):
            for last in range(first + rules.shortest, min(first + rules.longest, len(passage)) + 1):
                span = passage[first:last]
                stops = [word in STOP_WORDS for word in span]
                ends = stops[0] or stops[-1]
                if "." in span or all(stops) or (ends and not rules.stop_word_ends):
                    continue
                if len(span) > 1 or span[0].isupper():
                    found.setdefault(" ".join(span).lower(), []).append((number, first, last))
    spans = {w: at for w, at in found.items() if len({number for number, _, _ in at}) > 1}
    maximal = {
        w: at
        for w, at in spans.items()
        if not any(
            f" {w} " in f" {longer} " and len(others) == len(at) and longer != w
            for longer, others in spans.items()
        )
    }
    return {w: len(at) for w, at in maximal.items() if len({n for n, _, _ in at}) < len(used)}


PASSAGE = st.lists(st.sampled_from(["x", "y", "X", "z", "the", "of", "."]), max_size=14)


@pytest.mark.parametrize(
    "rules", [PAPER, OFFICIAL_CODE, SpanRules(shortest=1, longest=4, stop_word_ends=False)]
)
@given(passages=st.lists(PASSAGE, min_size=3, max_size=5))
def test_it_finds_what_the_definition_says(rules, passages):
    spans = spider_spans([" ".join(passage) for passage in passages], rules)
    assert {span.words: len(span.occurrences) for span in spans} == naive(passages, rules)
    for span in spans:
        for o in span.occurrences:
            assert " ".join(passages[o.passage])[o.start : o.end].lower() == span.words
