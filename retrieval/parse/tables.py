"""Rows of cells -> table rows that carry their header. Pure, one row at a time.

A cell is its text; None stands for a cell merged into the one on its left. Cells merged downwards
come with the text repeated in every row they cover.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from retrieval.parse.blocks import Block, Paragraph, Row, one_line

Cells = Sequence[str | None]

_VALUE = re.compile(r"[(\-+~<>≈$€£¥]*\s?\d[\d.,:/\-\s]*\s?(?:%|[a-zA-Z€$£°]{1,3})?\)?")
_YEAR = re.compile(r"(?:FY\s?)?(?:19|20)\d\d(?:[/-]\d\d(?:\d\d)?)?")
_LOOKAHEAD = 20
_HEADER_CHARACTERS = 80
_CELL_CHARACTERS = 800  # a longer one is a text, not a value
_KEY_VALUE = ["\0key", "\0value"]  # the header of a table whose first column names its second
_CELLS_A_LINE = 16  # a wider row becomes several lines, each beginning with the row's first cell


def rows(grid: Iterable[Cells], header_rows: int) -> Iterator[Block]:
    """The rows of one table whose first `header_rows` rows are its header."""
    table = (row for row in grid if _texts(row))
    header = _header(list(islice(table, header_rows)))
    yield from _table(table, header, at_least_header=header_rows > 0)


def sheet_rows(grid: Iterable[Cells], *, has_header: bool) -> Iterator[Block]:
    """The rows of the tables in `grid`, which blank rows part; their headers are recognised.

    `has_header` says that a table very likely has one. Lines above a header are its title.
    """
    remaining = iter(grid)
    header: list[str] = []
    while True:
        table = _until_blank(remaining)
        sample = list(islice(table, _LOOKAHEAD))
        if not sample:
            return
        titles = _count_titles(sample)
        yield from (Paragraph(_texts(row)[0]) for row in sample[:titles])
        sample = sample[titles:]
        found = _is_header(sample, has_header)
        if found or len(header) != _width(sample):  # else the table above goes on
            header = _header(sample[:1]) if found else _no_header(sample)
        yield from _table(chain(sample[found:], table), header, at_least_header=found)


def is_layout(grid: Sequence[Cells]) -> bool:
    """Whether a table only arranges a page: a single column, or cells as long as paragraphs."""
    longest = max((len(cell) for row in grid for cell in row if cell), default=0)
    return _width(grid) < 2 or longest > _CELL_CHARACTERS


def _table(body: Iterable[Cells], header: list[str], *, at_least_header: bool) -> Iterator[Block]:
    empty = True
    for row in body:
        empty = False
        yield from _lines(row, header)
    if empty and at_least_header:
        yield Row(tuple(("", text) for text in header))


def _lines(row: Cells, header: list[str]) -> Iterator[Block]:
    """The row as one line, or several if it is very wide."""
    if header == _KEY_VALUE:
        yield Row(((row[0] or "", row[1] or ""),) if len(row) == 2 and all(row) else _unnamed(row))
        return
    names = [*header, *[""] * (len(row) - len(header))]
    cells = [(name, text) for name, text in zip(names, row, strict=False) if text and text.strip()]
    yield Row(tuple(cells[:_CELLS_A_LINE]))
    for start in range(_CELLS_A_LINE, len(cells), _CELLS_A_LINE - 1):
        yield Row((cells[0], *cells[start : start + _CELLS_A_LINE - 1]))


def _unnamed(row: Cells) -> tuple[tuple[str, str], ...]:
    return tuple(("", text) for text in _texts(row))


def _header(top: Sequence[Cells]) -> list[str]:
    """One name a column out of the header rows: a merged one names every column it spans."""
    names: list[list[str]] = [[] for _ in range(_width(top))]
    for row in top:
        spanning = ""
        for column, cell in enumerate(row):
            spanning = one_line(cell) if cell is not None else spanning
            if spanning and spanning not in names[column]:
                names[column].append(spanning)
    return [" ".join(parts) for parts in names]


def _no_header(sample: Sequence[Cells]) -> list[str]:
    """Names for a table without header: in one of two columns the first names the second."""
    keys = [row[0] or "" for row in sample if row]
    is_form = _width(sample) == 2 and all(len(key) <= _HEADER_CHARACTERS for key in keys)
    return list(_KEY_VALUE) if is_form else [""] * _width(sample)


def _count_titles(sample: Sequence[Cells]) -> int:
    """How many lines of a single text stand above a table of several columns."""
    if _width(sample) < 2:
        return 0
    count = 0
    while count < len(sample) and len(_texts(sample[count])) == 1 and not _is_value(sample[count]):
        count += 1
    return count if count < len(sample) else 0


def _is_value(row: Cells) -> bool:
    return all(_VALUE.fullmatch(text) for text in _texts(row))


def _is_header(sample: Sequence[Cells], likely: bool) -> bool:
    """Whether the first row names the columns: short different texts, unlike what is below them."""
    if len(sample) < 2:
        return False
    names = _texts(sample[0])
    if len(names) < 2 and not (likely and _width(sample) == 1):
        return False
    if len(set(names)) < len(names) or max(map(len, names)) > _HEADER_CHARACTERS:
        return False
    values = [name for name in names if _VALUE.fullmatch(name)]
    if any(not _YEAR.fullmatch(name) for name in values) or len(values) == len(names):
        return False
    below = [text for row in sample[1:] for text in _texts(row)]
    return likely or _width(sample) > 2 or any(_VALUE.fullmatch(text) for text in below)


def _width(table: Sequence[Cells]) -> int:
    return max((len(row) for row in table), default=0)


def _until_blank(grid: Iterator[Cells]) -> Iterator[Cells]:
    """The next rows that are not blank, up to a blank one; blank rows before them are skipped."""
    started = False
    for row in grid:
        if _texts(row):
            started = True
            yield row
        elif started:
            return


def _texts(row: Cells) -> list[str]:
    return [text for cell in row if cell and (text := one_line(cell))]
