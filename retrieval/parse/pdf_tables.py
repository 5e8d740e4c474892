"""Tables on a PDF page: the name of each cell's column, from where the cells stand. Pure.

Only plain tables are recognised: a line of short names, below it lines of cells that each stand
under one name. What is not recognised stays as the lines one sees.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.parse.headers import is_name, is_value
from retrieval.parse.pdf_lines import Cell, Line

_NAME_CHARACTERS = 40
_STEP = 3.5  # of the font size: lines further apart are not of one table

Row = list[tuple[Cell, str]]  # the cells of a line and the names of their columns


@dataclass(frozen=True, slots=True)
class Labels:
    """What to add to the text of the page, by PDFium's index of characters."""

    before: dict[int, str]  # what stands before the character that begins a cell
    ends: frozenset[int]  # characters that end a row


def labels(lines: Sequence[Line]) -> Labels:
    """The names of columns to put before the cells of every table on the page."""
    before: dict[int, str] = {}
    ends = set()
    for row in _rows(lines):
        parting = ""
        for cell, name in row:
            before[cell.first] = parting + (f"{name}: " if name else "")
            parting = " " if cell.text.endswith(":") else "; "
        ends.add(row[-1][0].last)
    return Labels(before, frozenset(ends))


def _rows(lines: Sequence[Line]) -> Iterator[Row]:
    below = 0
    for i, line in enumerate(lines):
        if i >= below and _is_header(line):
            numbered = list(_under(line, lines[i + 1 :]))
            rows = [row for _, row in numbered]
            if _is_table(line, rows):
                yield from rows
                below = i + 2 + numbered[-1][0]


def _is_header(line: Line) -> bool:
    names = [cell.text for cell in line.cells]
    return len(names) > 1 and all(
        is_name(name)
        and len(name) <= _NAME_CHARACTERS
        and ":" not in name
        and name[-1] not in ".,;"
        for name in names
    )


def _under(header: Line, lines: Sequence[Line]) -> Iterator[tuple[int, Row]]:
    """The lines below `header` whose cells each stand under a name of their own, numbered.

    A line of one cell between them, a remark or what a cell had no room for, parts nothing.
    """
    above, skipped = header, False
    for i, line in enumerate(lines):
        if not (0 < above.y - line.y < _STEP * above.size and line.angle == above.angle):
            return
        row = _named(header, line)
        if row is not None:
            yield i, row
        elif skipped or len(line.cells) > 1:
            return
        above, skipped = line, row is None


def _named(header: Line, line: Line) -> Row | None:
    """The cells of `line` with their names; None if it is not a row of this table."""
    columns = [_column(header, cell) for cell in line.cells]
    named = columns[1:] if columns[:1] == [None] else columns  # what rows are called has no name
    known = [column for column in named if column is not None]
    if len(columns) < 2 or len(known) < len(named) or sorted(set(known)) != known:
        return None
    names = ["" if column is None else header.cells[column].text for column in columns]
    return list(zip(line.cells, names, strict=True))


def _column(header: Line, cell: Cell) -> int | None:
    """The number of the one name that `cell` stands under."""
    under = [
        i
        for i, name in enumerate(header.cells)
        if min(name.right, cell.right) > max(name.left, cell.left)
    ]
    return under[0] if len(under) == 1 else None


def _is_table(header: Line, rows: Sequence[Row]) -> bool:
    """Whether rows hold numbers, or else are so many and complete that they must be a table."""
    with_values = sum(any(is_value(cell.text) for cell, _ in row[1:]) for row in rows)
    complete = sum(len(row) == len(header.cells) for row in rows)
    if with_values * 2 > len(rows) > 1:
        return True
    return len(header.cells) > 2 and complete == len(rows) > (0 if with_values else 2)
