"""Rows of cells -> table rows that carry their header. Pure, one row at a time.

A cell is its text; None stands for a cell merged into the one on its left. Cells merged downwards
come with the text repeated in every row they cover.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from retrieval.parse.blocks import Block, Paragraph, Row, one_line
from retrieval.parse.headers import (
    Cells,
    count_header_rows,
    count_titles,
    has_values,
    is_header_alone,
    texts,
    width,
)

_LOOKAHEAD = 20
_HEADER_CHARACTERS = 80
_CELL_CHARACTERS = 800  # a longer one is a text, not a value
_KEY_VALUE = ["\0key", "\0value"]  # the header of a table whose first column names its second
_CELLS_A_LINE = 16  # a wider row becomes several lines, each beginning with its first cell


def rows(grid: Iterable[Cells], header_rows: int) -> Iterator[Block]:
    """The rows of one table whose first `header_rows` rows are its header."""
    table = (row for row in grid if texts(row))
    header = _header(list(islice(table, header_rows)))
    yield from _table(table, header, at_least_header=header_rows > 0)


def sheet_rows(grid: Iterable[Cells], *, has_header: bool) -> Iterator[Block]:
    """The rows of the tables in `grid`, which blank rows part; their headers are recognised.

    `has_header` says that a table very likely has one. Lines above a header are its title.
    """
    header: list[str] = []
    for sample, rest in _tables(iter(grid)):
        titles = count_titles(sample)
        yield from (Paragraph(texts(row)[0]) for row in sample[:titles])
        sample = sample[titles:]
        found = count_header_rows(sample, has_header)
        if found or len(header) != width(sample):  # else the table above goes on
            header = _header(sample[:found]) if found else _no_header(sample)
        yield from _table(chain(sample[found:], rest), header, at_least_header=found > 0)


def is_layout(grid: Sequence[Cells]) -> bool:
    """Whether a table only arranges a page: a single column, or cells as long as paragraphs."""
    longest = max((len(cell) for row in grid for cell in row if cell), default=0)
    return width(grid) < 2 or longest > _CELL_CHARACTERS


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
    return tuple(("", text) for text in texts(row))


def _header(top: Sequence[Cells]) -> list[str]:
    """One name a column out of the header rows: a merged one names every column it spans."""
    names: list[list[str]] = [[] for _ in range(width(top))]
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
    is_form = width(sample) == 2 and all(len(key) <= _HEADER_CHARACTERS for key in keys)
    return list(_KEY_VALUE) if is_form else [""] * width(sample)


def _tables(grid: Iterator[Cells]) -> Iterator[tuple[list[Cells], Iterator[Cells]]]:
    """The first rows and the rest of each table; a blank row below a header parts nothing."""
    waiting: list[Cells] = []  # a header alone
    while True:
        rest = _until_blank(grid)
        sample = list(islice(rest, _LOOKAHEAD))
        if waiting and not (sample and has_values(sample[0])):
            yield waiting, iter(())
            waiting = []
        if not sample:
            return
        if not waiting and is_header_alone(sample):
            waiting = sample
            continue
        yield waiting + sample, rest
        waiting = []


def _until_blank(grid: Iterator[Cells]) -> Iterator[Cells]:
    """The next rows that are not blank, up to a blank one; blank rows before them are skipped."""
    started = False
    for row in grid:
        if texts(row):
            started = True
            yield row
        elif started:
            return
