"""Pieces of lines as OCR finds them -> text: order, joining, tables, and where each word stands."""

import math

from retrieval.parse.ocr_layout import Piece, Word, laid_out

SIZE = (1000, 1000)
LETTER, HEIGHT = 10, 20  # pixels


def piece(text, left, top, tilt=0.0):
    """A piece whose letters are all as wide, on a page turned by `tilt` radians."""
    right, bottom = left + LETTER * len(text), top + HEIGHT
    cos, sin = math.cos(tilt), math.sin(tilt)
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    words, at = [], 0
    for word in text.split():
        at = text.index(word, at)
        x = left + LETTER * at
        words.append(Word(word, x, top, x + LETTER * len(word), bottom))
    turned = tuple((x * cos - y * sin, x * sin + y * cos) for x, y in corners)
    return Piece(text, turned, tuple(words))


def text_of(*pieces):
    return laid_out(pieces, SIZE).text.text


def test_wrapped_lines_are_joined_and_a_hyphen_at_the_end_goes():
    lines = [
        "The contract runs for two years and three",
        "months and no longer; fees are due in ad-",
    ]
    pieces = [
        piece(line, 100, 100 + 25 * i) for i, line in enumerate([*lines, "vance every year."])
    ]
    assert text_of(*reversed(pieces)) == (
        "The contract runs for two years and three months and no longer; fees are due in advance"
        " every year."
    )


def test_columns_of_prose_are_read_one_after_the_other_below_what_spans_both():
    left = [f"left column line {i} goes on" for i in range(4)]
    right = [f"right column line {i} goes on" for i in range(4)]
    title = piece("A title over both of the two columns of this page here", 120, 40)
    rows = [
        piece(line, x, 120 + 25 * i)
        for i, pair in enumerate(zip(left, right, strict=True))
        for line, x in zip(pair, (100, 500), strict=True)
    ]
    text = text_of(title, *rows).replace("\n", " ")
    assert text.index("title") < text.index("left column line 0")
    assert text.index("left column line 3") < text.index("right column line 0")


def test_rows_of_a_table_carry_their_header_even_askew():
    rows = [["Region", "Sales", "Cost"], ["North", "1,200", "800"], ["South", "950", "790"]]
    for tilt in (0.0, 0.03):
        pieces = [
            piece(cell, 100 + 250 * column, 100 + 32 * i, tilt)
            for i, row in enumerate(rows)
            for column, cell in enumerate(row)
        ]
        anchor = piece("The figures of the year by region and by quarter.", 100, 300, tilt)
        text = text_of(*pieces, anchor)
        assert "Region: North; Sales: 1,200; Cost: 800." in text
        assert "Region: South; Sales: 950; Cost: 790." in text


def test_each_character_of_a_word_knows_its_place():
    page = laid_out([piece("Grüße aus  Köln", 100, 500)], SIZE)
    assert page.text.text == "Grüße aus Köln"
    start = page.text.text.index("Köln")
    places = {page.places[source] for source in page.text.sources[start : start + 4]}
    assert places == {(0.21, 0.5, 0.25, 0.52)}
    assert page.places[page.text.sources[5]] is None  # a space stands nowhere


def test_without_words_the_whole_piece_is_the_place():
    whole = piece("two words", 100, 500)
    page = laid_out([Piece(whole.text, whole.corners, ())], SIZE)
    assert {page.places[source] for source in page.text.sources} == {(0.1, 0.5, 0.19, 0.52)}


def test_an_empty_picture_is_an_empty_page():
    assert laid_out([], SIZE).text.text == ""
    assert text_of(piece("  ", 1, 1)) == ""


def test_any_pieces_keep_all_their_words():
    pieces = [piece(f"w{i}", (i * 379) % 900, (i * 613) % 950) for i in range(200)]
    found = text_of(*pieces).replace(";", " ").replace(".", " ").replace(":", " ").split()
    assert {f"w{i}" for i in range(200)} <= set(found)
