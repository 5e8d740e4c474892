"""PDF -> text with page starts, each character traceable to its place on the page."""

import ctypes
import math
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from retrieval.parse.blocks import clean
from retrieval.parse.pdf_lines import Line, separators
from retrieval.types import Extracted, ParseFailure

_PAGE_GAP = "\n\n"
_HYPHENS = frozenset("\x02\u00ad")  # PDFium's mark for a hyphen at a line's end; the soft hyphen
_SAMPLE = 40  # characters looked at to tell which way a page's text runs
_LINE_ENDS = frozenset("\r\n\x0b\x0c\u2028\u2029")
_COMPOUND = re.compile(r"(?<![^\W\d_])[^\W\d_]+-[^\W\d_]+")
_WORD_END = re.compile(r"[^\W\d_A-Z]+(?=\W?\Z)")  # small letters: capitals keep their hyphen
_WORD_START = re.compile(r"[^\W\d_A-Z]+")
_SPACE = re.compile(r"\s+")
_SHOWN_AS = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\ufb05": "st", "\ufb06": "st", "\uf0b7": "•", "\uf0a7": "•", "\u00a0": " ", "\t": " ",
    "\ufffd": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class PageText:
    """The text of a page; `sources[i]` is PDFium's index of character i, None if we added it."""

    text: str
    sources: tuple[int | None, ...]


def extract_pdf(path: Path, limit: int) -> Extracted:
    """The text of the PDF at `path`. Raises ParseFailure."""
    document = open_pdf(path)
    try:
        title = document.get_metadata_value("Title").strip()
        parts: list[str] = []
        starts = []
        length = 0
        for page in page_texts(document):
            starts.append(length)
            parts.append(page.text)
            length += len(page.text) + len(_PAGE_GAP)
            if length > limit:
                raise ParseFailure(f"more than {limit:,} characters of text")
    finally:
        document.close()
    text = _PAGE_GAP.join(parts)
    if not text.strip():
        raise ParseFailure("no text found: scanned?")
    return Extracted(title, text, tuple(starts), "application/pdf")


def open_pdf(path: Path) -> Any:
    """The pypdfium2 document at `path`. Raises ParseFailure."""
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise ParseFailure("password-protected") from None
        raise ParseFailure("damaged PDF: it cannot be opened") from None


def page_texts(document: Any) -> Iterator[PageText]:
    """The text of each page, in order; that of a page that cannot be read is empty."""
    for i in range(len(document)):
        try:
            page = open_page(document, i)
        except pypdfium2.PdfiumError:
            yield PageText("", ())
            continue
        yield page_text(page)
        page.close()


def open_page(document: Any, index: int) -> Any:
    """The pypdfium2 page at `index`, with what was filled into its form made part of it."""
    page = document[index]
    if pdfium.FPDFPage_GetAnnotCount(page) == 0:
        return page
    if pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY) == pdfium.FLATTEN_SUCCESS:
        page.close()  # the page as it was read before
        page = document[index]
    return page


def page_starts(document: Any) -> tuple[int, ...]:
    """Where the text of each page begins in the text of the document."""
    lengths = (len(page.text) + len(_PAGE_GAP) for page in page_texts(document))
    return tuple(accumulate(lengths, initial=0))[:-1]


def page_text(page: Any) -> PageText:
    """The text of one pypdfium2 page: wrapped lines joined, hyphens at line ends removed."""
    with upright_textpage(page) as textpage:
        characters = _characters(textpage)
        runs = list(_runs(characters))
        if not runs:
            return PageText("", ())
        lines = [_line(textpage, characters, run) for run in runs]
        return _join(characters, runs, lines)


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
    return "" if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF else chr(code)


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
    word_end = run.start + len(text.split(maxsplit=1)[0]) - 1
    return Line(
        text=text,
        left=left,
        right=_edges(textpage, run.stop - 1, along)[1],
        first_word=_edges(textpage, word_end, along)[1] - left,
        gap=_widest_gap(textpage, text, run.start, along),
        y=y.value * along[0] - x.value * along[1],
        size=pdfium.FPDFText_GetFontSize(textpage, run.start) * math.hypot(matrix.c, matrix.d),
        angle=angle,
    )


def _edges(textpage: Any, index: int, along: tuple[float, float]) -> tuple[float, float]:
    """From where to where the box of the character reaches in the direction `along`."""
    left, bottom, right, top = textpage.get_charbox(index)
    if along == (1.0, 0.0):
        return left, right
    corners = [x * along[0] + y * along[1] for x in (left, right) for y in (bottom, top)]
    return min(corners), max(corners)


def _widest_gap(textpage: Any, text: str, start: int, along: tuple[float, float]) -> float:
    """The widest space between two words of the line whose first character is `start`."""
    gaps = [
        _edges(textpage, start + space.end(), along)[0]
        - _edges(textpage, start + space.start() - 1, along)[1]
        for space in _SPACE.finditer(text)
    ]
    return max(gaps, default=0.0)


def _join(characters: list[str], runs: list[range], lines: list[Line]) -> PageText:
    """The runs of characters with what stands between them."""
    text: list[str] = []
    sources: list[int | None] = []

    def add(piece: str, source: int | None) -> None:
        text.append(piece)
        sources.extend([source] * len(piece))

    gaps = [*separators(lines), ""]
    compounds = {word for line in lines for word in _COMPOUND.findall(line.text.lower())}
    for run, line, gap, following in zip(runs, lines, gaps, [*runs[1:], None], strict=True):
        if line.text.isascii() and line.text.isprintable():
            text.append(line.text)
            sources.extend(run)
        else:
            for i in run:
                add(_readable(characters[i]), i)
        if following is None:
            continue
        last = characters[run.stop - 1]
        if last in _HYPHENS:
            rest = "".join(characters[following.start : following.stop])
            add("-" if _keeps_hyphen(line.text, rest, compounds) else "", run.stop - 1)
        elif last != "-" or gap != " ":
            add(gap, None)
    return PageText("".join(text), tuple(sources))


def _keeps_hyphen(before: str, after: str, compounds: set[str]) -> bool:
    """Whether a word cut at a line's end has a hyphen of its own, as it has elsewhere."""
    left, right = _WORD_END.search(before[-64:]), _WORD_START.match(after)
    if left is None or right is None or (right.end() < len(after) and after[right.end()] == "-"):
        return True
    return f"{left.group()}-{right.group()}" in compounds


def _readable(character: str) -> str:
    shown = _SHOWN_AS.get(character, character)
    return "" if character in _HYPHENS else clean(shown)
