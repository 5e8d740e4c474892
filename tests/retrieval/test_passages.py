"""Passages: about the wanted size, whole sentences, exact offsets, nothing lost."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.passages import split_passages
from retrieval.types import Span


def count_words(texts):
    return [len(text.split()) for text in texts]


def count_characters(texts):
    return [len(text) for text in texts]


def prose(sentences, words=12):
    return " ".join(
        " ".join([f"Sentence{i}", *["word"] * (words - 2), "end."]) for i in range(sentences)
    )


def test_prose_is_cut_at_sentence_ends_into_passages_of_about_the_wanted_size():
    text = prose(100)
    spans = split_passages(text, words=100)
    assert all(text[span.start : span.end].endswith("end.") for span in spans)
    sizes = count_words([text[span.start : span.end] for span in spans])
    assert min(sizes) >= 80
    assert max(sizes) <= 125
    assert {span.page for span in spans} == {None}


def test_a_short_text_is_one_passage_and_an_empty_one_none():
    assert split_passages("Only this.") == [Span(0, 10, None)]
    assert split_passages(" \n ") == []


def test_no_orphan_at_the_end():
    text = prose(9) + " Tail."
    sizes = count_words([text[s.start : s.end] for s in split_passages(text)])
    assert min(sizes) > 25


def test_passages_do_not_cross_pages_and_number_them_from_one():
    first, second = "Page one ends here.\n", "Page two. It is short.\n"
    spans = split_passages(first + second, (0, len(first), len(first + second)))
    assert spans == [Span(0, 19, 1), Span(20, 42, 2)]


def test_a_heading_goes_with_what_follows():
    text = prose(8) + "\n\nThe next chapter\n\n" + prose(8)
    second = split_passages(text)[1]
    assert text[second.start :].startswith("The next chapter")


def test_a_sentence_too_long_is_cut_at_spaces():
    text = "word " * 1000
    spans = split_passages(text)
    assert all(text[s.start : s.end].split() == ["word"] * 100 for s in spans)


def test_text_without_spaces_is_cut_too():
    sizes = [span.end - span.start for span in split_passages("x" * 50_000)]
    assert sum(sizes) == 50_000
    assert max(sizes) < 3_000
    cjk = "天气好" * 1000
    assert max(span.end - span.start for span in split_passages(cjk)) < 300


def test_token_counts_are_kept_and_their_limit_holds():
    text = prose(30)
    spans = split_passages(text, max_tokens=40, count_tokens=count_words)
    assert all(span.tokens == len(text[span.start : span.end].split()) for span in spans)
    assert max(span.tokens for span in spans) <= 40


def test_a_limit_needs_a_counter():
    with pytest.raises(ValueError, match="count_tokens"):
        split_passages("a", max_tokens=3)


pieces = st.sampled_from(
    [
        "word ",
        "Sentence. ",
        "A Heading\n\n",
        "\n",
        "\n\n",
        "row: 1; col: 2.\n",
        "x" * 300,
        "。天气",
        " ",
    ]
)


@settings(deadline=None)
@given(
    text=st.one_of(st.text(max_size=300), st.lists(pieces, max_size=200).map("".join)),
    cuts=st.lists(st.integers(0, 300), max_size=4),
    words=st.integers(1, 60),
    max_tokens=st.none() | st.integers(1, 50),
)
def test_every_character_lies_in_one_passage_of_its_page(text, cuts, words, max_tokens):
    starts = tuple(sorted(min(cut, len(text)) for cut in cuts))
    spans = split_passages(
        text, starts, words=words, max_tokens=max_tokens, count_tokens=count_characters
    )
    held = [text[span.start : span.end] for span in spans]
    assert "".join("".join(part.split()) for part in held) == "".join(text.split())
    assert all(part == part.strip() != "" for part in held)
    assert all(a.end <= b.start for a, b in pairwise(spans))
    bounds = [*starts, len(text)]
    for span in spans:
        assert max_tokens is None or span.tokens <= max_tokens
        if span.page is not None:
            assert bounds[span.page - 1] <= span.start < span.end <= bounds[span.page]
        else:
            assert not starts or span.end <= starts[0]
