"""Which lines of a PDF page belong together: geometry -> what stands between two lines. Pure.

Coordinates are points along (x) and across (y, growing upwards) the writing direction.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

_LIST_MARK = re.compile(r"(?:[-*•‣▪◦–—●■○]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)])\s")
_SAME_LINE = 0.6  # of the font size: a smaller step down is a superscript or the next cell of a row
_CELL_GAP = 0.8  # of the font size: words closer than this are in one cell, if there are cells
_ROW_GAP = 1.6  # of the font size: justified text seldom has spaces this wide
_NEAR = 1.5  # of the font size: ends this close to the margin reach it


@dataclass(frozen=True, slots=True)
class Cell:
    """Characters `first` to `last`, by PDFium's index, and how far they reach."""

    first: int
    last: int
    text: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    """A run of characters as the PDF gives it, with where it stands."""

    text: str
    left: float
    right: float
    first_word: float  # width of the first word
    cells: tuple[Cell, ...]  # its words, those that stand close together as one
    y: float  # baseline
    size: float  # font size
    angle: int  # writing direction in degrees


def separators(runs: Sequence[Line], lines: Sequence[Line], rows: Sequence[int]) -> list[str]:
    """What stands after each run but the last: "", " ", a line end, or a blank line.

    `lines` and `rows` are the runs' `visual_lines`.
    """
    blocks = _blocks(lines)
    between = [_between(lines, blocks, i) for i in range(len(lines) - 1)]
    return [
        _within(above, below) if row == next_row else between[row]
        for (above, below), (row, next_row) in zip(pairwise(runs), pairwise(rows), strict=True)
    ]


def visual_lines(runs: Sequence[Line]) -> tuple[list[Line], list[int]]:
    """The lines one sees, runs beside each other made one, and the number of each run's line."""
    lines: list[Line] = []
    rows = []
    for run in runs:
        if lines and _on_one_line(lines[-1], run):
            lines[-1] = _beside(lines[-1], run)
        else:
            lines.append(run)
        rows.append(len(lines) - 1)
    return lines, rows


def _on_one_line(first: Line, second: Line) -> bool:
    size = max(first.size, second.size)
    return first.angle == second.angle and abs(first.y - second.y) < _SAME_LINE * size


def _beside(line: Line, run: Line) -> Line:
    larger = run if run.size > line.size else line
    return replace(
        line,
        text=f"{line.text} {run.text}",
        left=min(line.left, run.left),
        right=max(line.right, run.right),
        cells=together([*line.cells, *run.cells], larger.size),
        y=larger.y,
        size=larger.size,
    )


def together(cells: Sequence[Cell], size: float) -> tuple[Cell, ...]:
    """The cells, those with less than a cell's gap between them made one."""
    joined: list[Cell] = []
    for cell in cells:
        if joined and cell.left - joined[-1].right <= _CELL_GAP * size:
            last = joined[-1]
            text = f"{last.text} {cell.text}"
            left, right = min(last.left, cell.left), max(last.right, cell.right)
            joined[-1] = Cell(last.first, cell.last, text, left, right)
        else:
            joined.append(cell)
    return tuple(joined)


def _within(left: Line, right: Line) -> str:
    """Between two runs on one line: nothing where they touch."""
    return "" if abs(right.left - left.right) < 0.12 * left.size else " "


def _blocks(lines: Sequence[Line]) -> list[int]:
    """The number of the block each line is in: a run of lines evenly spaced, of one size."""
    numbers = [0] * len(lines)
    pitch = _pitch(lines)
    for i in range(1, len(lines)):
        numbers[i] = numbers[i - 1] + (not _follows(lines[i - 1], lines[i], pitch))
    return numbers


def _pitch(lines: Sequence[Line]) -> float:
    """The usual distance between lines, in font sizes."""
    steps = [(above.y - below.y) / above.size for above, below in pairwise(lines) if above.size > 0]
    usual = [step for step in steps if 0.8 < step < 2.5]
    return median(usual) if usual else 1.2


def _follows(above: Line, below: Line, pitch: float) -> bool:
    """Whether `below` is the next line of the block that `above` is in."""
    if above.angle != below.angle or min(above.size, below.size) <= 0:
        return False
    step = (above.y - below.y) / above.size
    same_size = abs(above.size - below.size) <= 0.12 * above.size
    overlap = min(above.right, below.right) > max(above.left, below.left)
    return same_size and overlap and 0.5 < step < 1.35 * pitch


def _between(lines: Sequence[Line], blocks: Sequence[int], i: int) -> str:
    """Between line i and the next: a blank line between blocks, a space where the text wraps."""
    if blocks[i] != blocks[i + 1]:
        return "\n\n"
    block = [line for line, number in zip(lines, blocks, strict=True) if number == blocks[i]]
    return " " if _wraps(lines[i], lines[i + 1], block, lines) else "\n"


def _is_row(line: Line) -> bool:
    """Whether the line is a row of a table or form: its cells stand apart."""
    gaps = (right.left - left.right for left, right in pairwise(line.cells))
    return max(gaps, default=0.0) > _ROW_GAP * line.size


def _wraps(above: Line, below: Line, block: Sequence[Line], lines: Sequence[Line]) -> bool:
    """Whether `above` ends only because the first word of `below` would not have fitted on it."""
    if _LIST_MARK.match(below.text) or _is_row(above) or _is_row(below):
        return False
    margin = max(line.right for line in block)
    if above.right + 0.25 * above.size + below.first_word <= margin - 0.1 * above.size:
        return False
    if below.text[:1].islower():
        return True
    near = _NEAR * above.size
    reaching = sum(line.right > margin - near for line in block)
    column = max(line.right for line in lines if abs(line.left - above.left) < near)
    return reaching >= 2 or above.right > column - near
