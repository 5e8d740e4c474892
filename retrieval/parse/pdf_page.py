"""A PDF page -> its text, each character traceable to its place on the page."""

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from retrieval.parse.blocks import clean
from retrieval.parse.pdf_lines import Cell, Line, separators, together, visual_lines
from retrieval.parse.pdf_tables import Labels, labels

_HYPHENS = frozenset("\x02\u00ad")  # PDFium's mark for a hyphen at a line's end; the soft hyphen
_SAMPLE = 40  # characters looked at to tell which way a page's text runs
_LINE_ENDS = frozenset("\r\n\x0b\x0c\u2028\u2029")
_COMPOUND = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")
_WORD_END = re.compile(r"[^\W\d_A-Z]+(?=\W?\Z)")  # small letters: capitals keep their hyphen
_WORD_START = re.compile(r"[^\W\d_A-Z]+")
_WORD = re.compile(r"\S+")
_SHOWN_AS = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\ufb05": "st", "\ufb06": "st", "\uf0b7": "•", "\uf0a7": "•", "\u00a0": " ", "\t": " ",
    "\ufffd": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PageText:
    """The text of a page; `sources[i]` is the index of character i as read, None if we added it."""

    text: str
    sources: tuple[int | None, ...]


def page_text(page: Any) -> PageText:
    """The text of one pypdfium2 page: wrapped lines joined, hyphens at line ends removed."""
    with upright_textpage(page) as textpage:
        characters = _characters(textpage)
        runs = list(_runs(characters))
        if not runs:
            return PageText("", ())
        lines = [_line(textpage, characters, run) for run in runs]
        return joined(characters, runs, lines)


@contextmanager
def upright_textpage(page: Any) -> Iterator[Any]:
    """PDFium's text of a page, read with the page turned so that most of its text is upright.

    PDFium orders lines as they stand on the page as shown; sideways text would come backwards.
    """
    shown = page.get_rotation()
    textpage = page.get_textpage()
    turned = _text_angle(textpage, shown)
    if turned != shown:
        textpage.close()
        page.set_rotation(turned)
        textpage = page.get_textpage()
    try:
        yield textpage
    finally:
        textpage.close()
        if turned != shown:
            page.set_rotation(shown)


def _text_angle(textpage: Any, default: int) -> int:
    """The direction most of a sample of characters run in, of the four a page can be turned to."""
    count = textpage.count_chars()
    sample = range(0, count, max(1, count // _SAMPLE))
    angles = Counter(_angle(_matrix(textpage, i)) % 360 for i in sample)
    usual = [angle for angle, _ in angles.most_common(1) if angle % 90 == 0]
    return usual[0] if usual else default


def _matrix(textpage: Any, index: int) -> Any:
    """How the character is scaled and turned on the page."""
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFText_GetMatrix(textpage, index, matrix)
    return matrix


def _angle(matrix: Any) -> int:
    return round(math.degrees(math.atan2(matrix.b, matrix.a)))


def _characters(textpage: Any) -> list[str]:
    """PDFium's characters of a page, by index."""
    count = textpage.count_chars()
    text = textpage.get_text_range(0, count) if count else ""
    if len(text) != count:  # characters outside the basic plane, or unmapped ones left out
        return [_character(pdfium.FPDFText_GetUnicode(textpage, i)) for i in range(count)]
    return [
        _character(pdfium.FPDFText_GetUnicode(textpage, i)) if c == "\ufffe" else c
        for i, c in enumerate(text)
    ]


def _character(code: int) -> str:
    return "\ufffd" if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF else chr(code)


def _runs(characters: list[str]) -> Iterator[range]:
    """Index ranges of the lines: runs without line ends, cut after a hyphen at a line's end."""
    start = 0
    for i, c in enumerate([*characters, "\n"]):
        if c not in _LINE_ENDS and c not in _HYPHENS:
            continue
        end = i + 1 if c in _HYPHENS else i
        while start < end and characters[start].isspace():
            start += 1
        while end > start and characters[end - 1].isspace():
            end -= 1
        if start < end:
            yield range(start, end)
        start = i + 1


def _line(textpage: Any, characters: list[str], run: range) -> Line:
    """The characters in `run` as `separators` wants them, measured along their direction."""
    text = "".join(characters[run.start : run.stop])
    x, y = ctypes.c_double(), ctypes.c_double()
    matrix = _matrix(textpage, run.start)
    pdfium.FPDFText_GetCharOrigin(textpage, run.start, x, y)
    angle = _angle(matrix)
    along = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    left = x.value * along[0] + y.value * along[1]
    size = pdfium.FPDFText_GetFontSize(textpage, run.start) * math.hypot(matrix.c, matrix.d)
    words = [
        Cell(run.start + word.start(), run.start + word.end() - 1, word.group(), *ends)
        for word in _WORD.finditer(text)
        for ends in [_ends(textpage, run.start + word.start(), run.start + word.end() - 1, along)]
    ]
    return Line(
        text=text,
        left=left,
        right=words[-1].right,
        first_word=words[0].right - left,
        cells=together(words, size),
        y=y.value * along[0] - x.value * along[1],
        size=size,
        angle=angle,
    )


def _ends(textpage: Any, first: int, last: int, along: tuple[float, float]) -> tuple[float, float]:
    """From where to where these characters reach in the direction `along`."""
    return _edges(textpage, first, along)[0], _edges(textpage, last, along)[1]


def _edges(textpage: Any, index: int, along: tuple[float, float]) -> tuple[float, float]:
    """From where to where the box of the character reaches in the direction `along`."""
    left, bottom, right, top = textpage.get_charbox(index)
    if along == (1.0, 0.0):
        return left, right
    corners = [x * along[0] + y * along[1] for x in (left, right) for y in (bottom, top)]
    return min(corners), max(corners)


class _Text:
    """The text of a page as it grows, piece by piece."""

    def __init__(self, characters: list[str], labels: Labels) -> None:
        self._characters = characters
        self._labels = labels
        self._pieces: list[str] = []
        self._sources: list[int | None] = []

    def add(self, piece: str, source: int | None = None) -> None:
        if piece:
            self._pieces.append(piece)
            self._sources.extend([source] * len(piece))

    def add_plain(self, run: range, text: str) -> None:
        self._pieces.append(text)
        self._sources.extend(run)

    def add_run(self, run: range) -> None:
        """The readable characters of `run`, with the names of its table's columns."""
        for i in run:
            if i in self._labels.before:
                self._drop_space()
                self.add(self._labels.before[i])
            self.add(_readable(self._characters[i]), i)
            if i in self._labels.ends and self._characters[i] not in ".!?":
                self.add(".")

    def _drop_space(self) -> None:
        while self._pieces and self._pieces[-1] == " ":
            self._pieces.pop()
            self._sources.pop()

    def done(self) -> PageText:
        return PageText("".join(self._pieces), tuple(self._sources))


def joined(characters: list[str], runs: list[range], lines: list[Line]) -> PageText:
    """The runs of characters, each with its line, and what stands between them."""
    seen, rows = visual_lines(lines)
    names = labels(seen)
    gaps = separators(lines, seen, rows)
    compounds = {word for line in lines for word in _COMPOUND.findall(line.text.lower())}
    text = _Text(characters, names)
    for i, (run, line) in enumerate(zip(runs, lines, strict=True)):
        if _is_plain(line.text) and not names.touch(run):
            text.add_plain(run, line.text)
        else:
            text.add_run(run)
        if i == len(runs) - 1:
            break
        if characters[run.stop - 1] in _HYPHENS:
            kept = _keeps_hyphen(line.text, lines[i + 1].text, compounds)
            text.add("-" if kept else "", run.stop - 1)
        elif rows[i] in names.joined:
            text.add(" ")
        elif run.stop - 1 in names.ends and runs[i + 1].start in names.before:
            text.add("\n")
        elif characters[run.stop - 1] != "-" or gaps[i] != " ":
            text.add(gaps[i])
    return text.done()


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _keeps_hyphen(before: str, after: str, compounds: set[str]) -> bool:
    """Whether a word cut at a line's end has a hyphen of its own, as it has elsewhere."""
    left, right = _WORD_END.search(before[-64:]), _WORD_START.match(after)
    if left is None or right is None or (right.end() < len(after) and after[right.end()] == "-"):
        return True
    return f"{left.group()}-{right.group()}" in compounds


def _readable(character: str) -> str:
    shown = _SHOWN_AS.get(character, character)
    return "" if character in _HYPHENS else clean(shown)
