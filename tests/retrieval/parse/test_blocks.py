"""Blocks become text in one way for all formats."""

import pytest

from retrieval.parse.blocks import Heading, Item, PageStart, Paragraph, Row, clean, render
from retrieval.types import ParseFailure


def test_headings_and_paragraphs_stand_apart_and_items_and_rows_together():
    blocks = [
        Heading("A\n heading "),
        Paragraph("Two\n  lines\n\n\n\nand more"),
        Item("one"),
        Item("two"),
        Row((("Name", "Ada"), ("Born", ""), ("", "x"))),
        Paragraph(" "),
        Paragraph("End"),
    ]
    text, starts = render(blocks, 1000)
    assert text == ("A heading\n\nTwo\nlines\n\nand more\n\n- one\n- two\nName: Ada; x.\n\nEnd")
    assert starts == ()


def test_pages_begin_where_they_say_also_when_empty():
    blocks = [PageStart(), Item("a"), PageStart(), PageStart(), Item("b"), PageStart()]
    text, starts = render(blocks, 1000)
    assert text == "- a\n\n- b"
    assert [text[start:] for start in starts] == ["- a\n\n- b", "- b", "- b", ""]


def test_a_row_does_not_double_its_full_stop():
    assert render([Row((("", "So it is."),))], 100)[0] == "So it is."


def test_unreadable_characters_go_and_line_ends_are_one_kind():
    assert clean("a\r\nb\rc\x00\x07\ufeff\ud800\u200bd\fe") == "a\nb\ncd\n\ne"


def test_too_much_text_is_refused_before_it_is_all_made():
    def endless():
        while True:
            yield Paragraph("word " * 100)

    with pytest.raises(ParseFailure, match="more than 10,000 characters"):
        render(endless(), 10_000)
