"""PDF -> text with page starts, each character traceable to its place on the page."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from retrieval.parse.blocks import clean
from retrieval.parse.pdf_lines import Line, separators
from retrieval.types import Extracted, ParseFailure

_PAGE_GAP = "\n\n"
_HYPHENS = frozenset("\x02\u00ad")  # PDFium's mark for a hyphen at a line's end; the soft hyphen
_LINE_ENDS = frozenset("\r\n\x0b\x0c\u2028\u2029")
_SHOWN_AS = {
    "\ufb00": "ff", "\ufb01": "fi", "\ufb02": "fl", "\ufb03": "ffi", "\ufb04": "ffl",
    "\ufb05": "st", "\ufb06": "st", "\uf0b7": "•", "\uf0a7": "•", "\u00a0": " ",
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
            page = document[i]
        except pypdfium2.PdfiumError:
            yield PageText("", ())
            continue
        yield page_text(page)
        page.close()


def page_start(document: Any, page: int) -> int:
    """Where the text of `page` (1-based) begins in the text of the document."""
    texts = page_texts(document)
    return sum(len(next(texts).text) + len(_PAGE_GAP) for _ in range(page - 1))


def page_text(page: Any) -> PageText:
    """The text of one pypdfium2 page: wrapped lines joined, hyphens at line ends removed."""
    textpage = page.get_textpage()
    try:
        characters = _characters(textpage)
        runs = list(_runs(characters))
        if not runs:
            return PageText("", ())
        lines = [_line(textpage, characters, run) for run in runs]
        return _join(characters, runs, separators(lines))
    finally:
        textpage.close()


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
    matrix = pdfium.FS_MATRIX()
    x, y = ctypes.c_double(), ctypes.c_double()
    pdfium.FPDFText_GetMatrix(textpage, run.start, matrix)
    pdfium.FPDFText_GetCharOrigin(textpage, run.start, x, y)
    angle = round(math.degrees(math.atan2(matrix.b, matrix.a)))
    along = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    left = x.value * along[0] + y.value * along[1]
    word_end = run.start + len(text.split(maxsplit=1)[0]) - 1
    return Line(
        text=text,
        left=left,
        right=_far_edge(textpage, run.stop - 1, along),
        first_word=_far_edge(textpage, word_end, along) - left,
        y=y.value * along[0] - x.value * along[1],
        size=pdfium.FPDFText_GetFontSize(textpage, run.start) * math.hypot(matrix.c, matrix.d),
        angle=angle,
    )


def _far_edge(textpage: Any, index: int, along: tuple[float, float]) -> float:
    """How far the box of the character reaches in the direction `along`."""
    left, bottom, right, top = textpage.get_charbox(index)
    return float(max(x * along[0] + y * along[1] for x in (left, right) for y in (bottom, top)))


def _join(characters: list[str], runs: list[range], gaps: list[str]) -> PageText:
    text: list[str] = []
    sources: list[int | None] = []

    def add(piece: str, source: int | None) -> None:
        text.append(piece)
        sources.extend([source] * len(piece))

    for run, gap, following in zip(runs, [*gaps, ""], [*runs[1:], None], strict=True):
        for i in run:
            if characters[i] not in _HYPHENS:
                add(_readable(characters[i]), i)
        if following is None:
            continue
        last, first = characters[run.stop - 1], characters[following.start]
        if last in _HYPHENS:
            before = characters[run.stop - 2] if len(run) > 1 else " "
            add("" if before.islower() and first.islower() else "-", run.stop - 1)
        elif last != "-" or gap != " ":
            add(gap, None)
    return PageText("".join(text), tuple(sources))


def _readable(character: str) -> str:
    if character in _SHOWN_AS:
        return _SHOWN_AS[character]
    return clean(character)
