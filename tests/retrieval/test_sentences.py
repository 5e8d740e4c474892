"""Sentence spans: what ends a sentence, what does not, and that nothing is lost."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.sentences import sentence_spans


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith met J. K. Rowling.",
        "The fee is 3.14 dollars, e.g. for No. 5 of Vol. 3.",
        "See Fig. 3 and Sec. 2.1 for more.",
        "Acme Inc. was founded at 5 p.m. on Sept. 3.",
        '"Stop!" he said.',
        "He left... and came back.",
        "Version 2.0.1 runs on example.com today.",
        "He was born in the U.S. Army hospital.",
        "Quarter: Q1; Revenue: 12; Region: North.",
    ],
)
def test_one_sentence_stays_whole(text):
    assert sentences(text) == [text]


def test_ends_at_marks_quotes_and_references():
    text = 'It works. "Does it?" Yes (really!). So it was.[3] And on… Then more.'
    assert sentences(text) == [
        "It works.",
        '"Does it?"',
        "Yes (really!).",
        "So it was.[3]",
        "And on…",
        "Then more.",
    ]


def test_an_abbreviation_before_a_new_sentence_ends_the_old_one():
    assert sentences("They live in the U.S. The house is big.") == [
        "They live in the U.S.",
        "The house is big.",
    ]


def test_cjk_full_stops_need_no_space():
    assert sentences("今天天气好。我们去公园！真的？好") == [
        "今天天气好。",
        "我们去公园！",
        "真的？",
        "好",
    ]


def test_tokenised_text_with_lone_full_stops():
    assert sentences("a wing in a slipstream . an experimental study .") == [
        "a wing in a slipstream .",
        "an experimental study .",
    ]


def test_headings_rows_and_items_are_sentences():
    text = "1. Introduction\n\nIt begins.\nname: x; age: 3.\nname: y; age: 4.\n- one\n- two"
    assert sentences(text) == [
        "1. Introduction",
        "It begins.",
        "name: x; age: 3.",
        "name: y; age: 4.",
        "- one",
        "- two",
    ]


def test_a_hard_wrapped_paragraph_is_not_cut_at_its_lines():
    text = (
        "The subject speaks its own importance; comprehending in its consequences\n"
        "nothing less than the existence of the UNION, the safety and welfare of\n"
        "New England. It has been frequently remarked.\n"
        "\n"
        "HAMILTON\n"
    )
    assert sentences(text) == [
        "The subject speaks its own importance; comprehending in its consequences\n"
        "nothing less than the existence of the UNION, the safety and welfare of\n"
        "New England.",
        "It has been frequently remarked.",
        "HAMILTON",
    ]


def test_a_double_spaced_paragraph_is_not_cut_at_its_lines():
    text = "Here then is a power to change the whole of\n\nthe title; to alter old ones.\n\nThe end"
    assert sentences(text) == [text[:74], "The end"]


def test_short_lines_are_not_joined():
    assert sentences("Jane Doe\n12 High Street\nSpringfield") == [
        "Jane Doe",
        "12 High Street",
        "Springfield",
    ]


pieces = st.sampled_from(
    [
        "Dr. ",
        "word ",
        "3.5 ",
        "end. ",
        "Why? ",
        "\n",
        "\n\n",
        "  ",
        "。",
        "- item\n",
        "U.S. ",
        "…",
        "\t",
    ]
)


@given(st.one_of(st.text(max_size=200), st.lists(pieces, max_size=60).map("".join)))
def test_spans_hold_every_character_once_in_order(text):
    spans = sentence_spans(text)
    assert "".join("".join(text[a:b].split()) for a, b in spans) == "".join(text.split())
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)
    assert all(a[1] <= b[0] for a, b in pairwise(spans))
