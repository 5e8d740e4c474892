"""Pieces of lines found in a picture -> the page's text in reading order, each word with its place.

Pure. Coordinates of pieces and words are pixels from the top left; those inside are turned back by
the page's skew, with y growing upwards, as pdf_lines.py has them.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from retrieval.parse.pdf_lines import Cell, Line
from retrieval.parse.pdf_page import PageText, joined

_SOFT_HYPHEN = "\u00ad"  # a hyphen that may only be there because the line ended
_SIZE = 0.8  # font size by a piece's height
_ONE_SIZE = 1.25  # heights that differ by less are of one font size
_SAME_ROW = 0.6  # of the font size
_PROSE_LINES, _PROSE_CHARACTERS = 3, 20  # what makes a side of a gap a column of running text
_LEVELS = 40  # of columns within bands within columns

Place = tuple[float, float, float, float]  # left, top, right, bottom as fractions of the picture


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class Piece:
    """What OCR takes for one line: its text, its corners from the top left on, its words."""

    text: str
    corners: tuple[tuple[float, float], ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class ScannedPage:
    """The text of a picture; `places[i]` is where the character stands that has the source i."""

    text: PageText
    places: tuple[Place | None, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """A piece, measured along the lines of the page."""

    piece: Piece
    left: float
    right: float
    y: float  # middle
    size: float


def laid_out(pieces: Iterable[Piece], size: tuple[int, int]) -> ScannedPage:
    """The page whose picture of `size` (width, height) holds `pieces`."""
    runs = in_reading_order(_measured([piece for piece in pieces if piece.text.strip()]))
    characters: list[str] = []
    places: list[Place | None] = []
    ranges, lines = [], []
    for run, following in zip(runs, [*runs[1:], None], strict=False):
        text = _with_soft_hyphen(run.piece.text, following.piece.text if following else "")
        first = len(characters)
        characters += [*text, "\n"]
        places += [*_places(run.piece, size), None]
        ranges.append(range(first, first + len(text)))
        lines.append(_line(run, text, first))
    page = joined(characters, ranges, lines) if lines else PageText("", ())
    return ScannedPage(page, tuple(places))


def _with_soft_hyphen(text: str, following: str) -> str:
    cut = text[-1] == "-" and text[-2:-1].isalpha() and following[:1].islower()
    return text[:-1] + _SOFT_HYPHEN if cut else text


def _line(run: _Run, text: str, first: int) -> Line:
    cell = Cell(first, first + len(text) - 1, text, run.left, run.right)
    share = len(text.split()[0]) / len(text)
    first_word = share * (run.right - run.left)
    return Line(text, run.left, run.right, first_word, (cell,), run.y, run.size, 0)


def _places(piece: Piece, size: tuple[int, int]) -> list[Place | None]:
    """Where each character stands: in its word, or somewhere in the piece if words are unknown."""
    width, height = size
    places: list[Place | None] = [None] * len(piece.text)
    end = 0
    for word in piece.words:
        start = piece.text.find(word.text, end)
        if start >= 0:
            end = start + len(word.text)
            place = word.left / width, word.top / height, word.right / width, word.bottom / height
            places[start:end] = [place] * len(word.text)
    if end:
        return places
    xs, ys = zip(*piece.corners, strict=True)
    return [(min(xs) / width, min(ys) / height, max(xs) / width, max(ys) / height)] * len(places)


def _measured(pieces: Sequence[Piece]) -> list[_Run]:
    """The pieces with their texts trimmed, along the lines of the page."""
    angle = _skew(pieces)
    cos, sin = math.cos(angle), math.sin(angle)
    sizes = _sizes([_height(piece) for piece in pieces])
    runs = []
    for piece, size in zip(pieces, sizes, strict=True):
        along = [x * cos + y * sin for x, y in piece.corners]
        down = [y * cos - x * sin for x, y in piece.corners]
        trimmed = Piece(" ".join(piece.text.split()), piece.corners, piece.words)
        runs.append(_Run(trimmed, min(along), max(along), -sum(down) / len(down), size))
    return runs


def _skew(pieces: Sequence[Piece]) -> float:
    """By how much (radians) the page's long lines slope down; 0 if it has none."""
    slopes = [
        math.atan2(right[1] - left[1], right[0] - left[0])
        for left, right in (piece.corners[:2] for piece in pieces)
        if right[0] - left[0] > 200
    ]
    return median(slopes) if slopes else 0.0


def _height(piece: Piece) -> float:
    top_left, top_right, bottom_right, bottom_left = piece.corners
    return (math.dist(top_left, bottom_left) + math.dist(top_right, bottom_right)) / 2


def _sizes(heights: Sequence[float]) -> list[float]:
    """Font sizes: boxes of one size of print differ by a pixel or two, so near heights are one."""
    known: list[list[float]] = []
    for height in sorted(heights):
        if known and height < _ONE_SIZE * known[-1][0]:
            known[-1].append(height)
        else:
            known.append([height])
    size = {height: _SIZE * median(group) for group in known for height in group}
    return [size[height] for height in heights]


def in_reading_order(runs: Sequence[_Run], levels: int = _LEVELS) -> list[_Run]:
    """Row by row, but columns of running text one after the other."""
    parts = (_columns(runs) or _bands(runs)) if levels else []
    if not parts:
        return list(_by_row(runs))
    return [run for part in parts for run in in_reading_order(part, levels - 1)]


def _columns(runs: Sequence[_Run]) -> list[list[_Run]]:
    """What stands left and right of the widest gap between columns of prose; [] if none does."""
    for gap in _gaps([(run.left, run.right) for run in runs]):
        left = [run for run in runs if run.right <= gap]
        right = [run for run in runs if run.left >= gap]
        if _is_prose(left) and _is_prose(right):
            return [left, right]
    return []


def _is_prose(runs: Sequence[_Run]) -> bool:
    long = bool(runs) and median(len(run.piece.text) for run in runs) >= _PROSE_CHARACTERS
    return long and len(runs) >= _PROSE_LINES


def _bands(runs: Sequence[_Run]) -> list[list[_Run]]:
    """What stands above and below the widest blank stretch across the page; [] if none does."""
    gaps = _gaps([(-run.y - run.size / 2, -run.y + run.size / 2) for run in runs])
    if not gaps:
        return []
    above = [run for run in runs if -run.y < gaps[0]]
    return [above, [run for run in runs if -run.y >= gaps[0]]]


def _gaps(spans: Sequence[tuple[float, float]]) -> list[float]:
    """A point in each stretch that no span covers, the widest stretch first."""
    found, reached = [], -math.inf
    for start, end in sorted(spans):
        if reached < start and reached > -math.inf:
            found.append((reached - start, (reached + start) / 2))
        reached = max(reached, end)
    return [middle for _, middle in sorted(found)]


def _by_row(runs: Sequence[_Run]) -> Iterator[_Run]:
    """The runs from top to bottom, those on one line from left to right."""
    falling = sorted(runs, key=lambda run: (-run.y, run.left))
    numbers = [0]
    for above, below in pairwise(falling):
        apart = above.y - below.y >= _SAME_ROW * min(above.size, below.size)
        numbers.append(numbers[-1] + apart)
    rows = groupby(zip(numbers, falling, strict=False), key=lambda numbered: numbered[0])
    for _, row in rows:
        yield from sorted((run for _, run in row), key=lambda run: run.left)
