"""Which rows at the top of a table are its title and its header: guesses, from what they hold."""

import re
from collections.abc import Sequence

from retrieval.parse.blocks import one_line

Cells = Sequence[str | None]  # as in tables.py

_VALUE = re.compile(r"[(\-+~<>≈$€£¥]*\s?\d[\d.,:/\-\s]*\s?(?:%|[a-zA-Z€$£°]{1,3})?\)?")
_YEAR = re.compile(r"(?:FY\s?)?(?:19|20)\d\d(?:[/-]\d\d(?:\d\d)?)?")
_HEADER_ROWS = 4
_NAME_CHARACTERS = 80


def is_value(text: str) -> bool:
    """Whether the text is a number, with or without a unit, a date or the like."""
    return _VALUE.fullmatch(text) is not None


def is_name(text: str) -> bool:
    """Whether the text may name a column: short, and no number but a year."""
    return len(text) <= _NAME_CHARACTERS and (not is_value(text) or bool(_YEAR.fullmatch(text)))


def texts(row: Cells) -> list[str]:
    """The cells of a row that say something, each on one line."""
    return [text for cell in row if cell and (text := one_line(cell))]


def width(table: Sequence[Cells]) -> int:
    """How many columns the table has, empty ones on the right left out."""
    return max((len(row) - _empty_end(row) for row in table), default=0)


def _empty_end(row: Cells) -> int:
    count = 0
    while count < len(row) and row[-1 - count] is not None and not (row[-1 - count] or "").strip():
        count += 1
    return count


def count_titles(table: Sequence[Cells]) -> int:
    """How many lines stand above a table of several columns, each a text where its rows begin."""
    if width(table) < 2:
        return 0
    begin = min(_begin(row) for row in table)
    count = 0
    while count < len(table) and _is_title(table[count], begin):
        count += 1
    return count if count < len(table) else 0


def _begin(row: Cells) -> int:
    """The column of the first text of a row that has one."""
    return next(i for i, cell in enumerate(row) if cell and cell.strip())


def _is_title(row: Cells, begin: int) -> bool:
    alone = texts(row)
    return len(alone) == 1 and _begin(row) == begin and not _VALUE.fullmatch(alone[0])


def count_header_rows(table: Sequence[Cells], likely: bool) -> int:
    """How many rows at the top name the columns; `likely`: tables like this one have a header."""
    if len(table) < 2:
        return 0
    return _rows_above_values(table) or int(_names_columns(table, likely))


def _rows_above_values(table: Sequence[Cells]) -> int:
    """The rows of a header of several, one with a name that spans columns: all above the values."""
    for count, row in enumerate(table[: _HEADER_ROWS + 1]):
        if has_values(row):
            if count < 2 or not _are_names(table[count - 1]):
                return 0
            spans = any(None in above or not (above[0] or "").strip() for above in table[:count])
            return count if spans and all(map(_are_names, table[:count])) else 0
        if not _are_names(row):
            return 0
    return 0


def has_values(row: Cells) -> bool:
    """Whether most of the row, but for its first text, is numbers other than years."""
    body = texts(row)[1:]
    values = [text for text in body if _VALUE.fullmatch(text) and not _YEAR.fullmatch(text)]
    return len(values) * 2 > len(body)


def is_header_alone(table: Sequence[Cells]) -> bool:
    """Whether these rows are nothing but a header, its table being below a blank row."""
    return len(table) <= _HEADER_ROWS and len(texts(table[-1])) > 1 and all(map(_are_names, table))


def _are_names(row: Cells) -> bool:
    """Whether the row may be part of a header: short texts, no numbers but years."""
    return all(map(is_name, texts(row)))


def _names_columns(table: Sequence[Cells], likely: bool) -> bool:
    """Whether the first row alone is a header: different names, unlike what is below them."""
    names = texts(table[0])
    if len(set(names)) < len(names) or not _are_names(table[0]):
        return False
    if all(_VALUE.fullmatch(name) for name in names):
        return False
    if len(names) < 2:
        return likely and width(table) == 1
    below = [text for row in table[1:] for text in texts(row)]
    return likely or width(table) > 2 or any(_VALUE.fullmatch(text) for text in below)
