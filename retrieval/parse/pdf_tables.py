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

_PITCH = 1.28  # of the font size: lines of a cell are closer than this, rows of a table seldom are

# The columns a line's cells stand in; None for what rows are called, where that has no name.
Columns = list[int | None]


@dataclass(frozen=True, slots=True)
class Labels:
    """What to add to the text of the page, by PDFium's index of characters."""

    before: dict[int, str]  # what stands before the character that begins a cell
    ends: frozenset[int]  # characters that end a row
    joined: frozenset[int]  # numbers of lines that the next one belongs to the same row as

    def touch(self, run: range) -> bool:
        """Whether something is added among these characters."""
        return bool(self.before) and any(i in self.before or i in self.ends for i in run)


@dataclass(slots=True)
class _Row:
    """A row as it grows: the lines of a cell come before the cells to its right."""

    cells: list[Cell]  # the first piece of each
    columns: Columns
    lines: list[int]
    lowest: float
    last: Cell
    last_y: float

    def goes_on(self, line: Line, columns: Columns) -> bool:
        """Whether `line` goes on in the last cell, or right of it without standing lower."""
        column, last = columns[0], self.columns[-1]
        if column == last:
            return 0 < self.last_y - line.y < _PITCH * line.size
        to_the_right = column is not None and (last is None or column > last)
        return to_the_right and 0 < line.y - self.last_y < _STEP * line.size

    def add(self, number: int, line: Line, columns: Columns) -> None:
        new = int(columns[0] == self.columns[-1])  # the first goes on in the cell before
        self.cells += line.cells[new:]
        self.columns += columns[new:]
        self.lines.append(number)
        self.lowest = min(self.lowest, line.y)
        self.last, self.last_y = line.cells[-1], line.y


def labels(lines: Sequence[Line]) -> Labels:
    """The names of columns to put before the cells of every table on the page."""
    before: dict[int, str] = {}
    ends, joined = set(), set()
    for header, row in _rows(lines):
        parting = ""
        for cell, column in zip(row.cells, row.columns, strict=True):
            name = "" if column is None else f"{header.cells[column].text}: "
            before[cell.first] = parting + name
            parting = " " if cell.text.endswith(":") else "; "
        ends.add(row.last.last)
        joined.update(row.lines[:-1])
    return Labels(before, frozenset(ends), frozenset(joined))


def _rows(lines: Sequence[Line]) -> Iterator[tuple[Line, _Row]]:
    """The rows of every table, each with its header."""
    below = 0
    for i, header in enumerate(lines):
        if i >= below and _is_header(header):
            rows = [row for row in _under(header, lines, i + 1) if len(row.cells) > 1]
            if _is_table(header, rows):
                yield from ((header, row) for row in rows)
                below = rows[-1].lines[-1] + 1


def _is_header(line: Line) -> bool:
    names = [cell.text for cell in line.cells]
    return len(names) > 1 and all(
        is_name(name)
        and len(name) <= _NAME_CHARACTERS
        and ":" not in name
        and name[-1] not in ".,;"
        for name in names
    )


def _under(header: Line, lines: Sequence[Line], start: int) -> list[_Row]:
    """The rows below `header`, from the line numbered `start`.

    A single line between them that is no row, such as a remark, parts nothing.
    """
    rows: list[_Row] = []
    lowest, skipped = header.y, False
    for number, line in enumerate(lines[start:], start):
        columns = _columns(header, line)
        if columns and rows and rows[-1].goes_on(line, columns):
            rows[-1].add(number, line, columns)
            lowest = min(lowest, line.y)
            continue
        if not 0 < lowest - line.y < _STEP * line.size or line.angle != header.angle:
            break
        if columns:
            row = _Row(list(line.cells), columns, [number], line.y, line.cells[-1], line.y)
            rows.append(row)
        elif skipped or len(line.cells) > 1:
            break
        lowest, skipped = line.y, not columns
    return rows


def _columns(header: Line, line: Line) -> Columns:
    """The columns the cells of `line` stand in, from left to right; empty if it is no row."""
    found = [_names_above(header, cell) for cell in line.cells]
    columns = [names[0] if len(names) == 1 else None for names in found]
    known = [column for column in columns if column is not None]
    if None in columns[1:] or sorted(set(known)) != known:
        return []
    return [] if len(columns) == 1 and len(found[0]) > 1 else columns


def _names_above(header: Line, cell: Cell) -> list[int]:
    """The numbers of the names that `cell` stands under."""
    return [
        i
        for i, name in enumerate(header.cells)
        if min(name.right, cell.right) > max(name.left, cell.left)
    ]


def _is_table(header: Line, rows: Sequence[_Row]) -> bool:
    """Whether rows hold numbers, or else are so many and complete that they must be a table."""
    with_values = sum(any(is_value(cell.text) for cell in row.cells[1:]) for row in rows)
    complete = sum(len(row.cells) == len(header.cells) for row in rows)
    if with_values * 2 > len(rows) > 1:
        return True
    return len(header.cells) > 2 and complete == len(rows) > (0 if with_values else 2)
