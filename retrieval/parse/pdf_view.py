"""A page of a PDF as a picture, and where on it given spans of its extracted text stand."""

import ctypes
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pypdfium2.raw as pdfium

from retrieval.parse.page_view import Box, PageView
from retrieval.parse.pdf import open_page, open_pdf
from retrieval.parse.pdf_page import PageText, page_text, upright_textpage
from retrieval.types import ParseFailure

if TYPE_CHECKING:
    from retrieval.parse.ocr_layout import ScannedPage

_LARGEST = 2000  # pixels on the longer side


def page_view(
    path: Path,
    page: int,
    spans: Sequence[tuple[int, int]],
    scale: float = 1.5,
    read_scan: "Callable[[Any], ScannedPage] | None" = None,
) -> PageView:
    """Page `page` (1-based) of the PDF at `path`, with the words of `spans` boxed line by line.

    Spans are offsets into the text of this page, which begins in `Extracted.text` where
    `page_starts` says; what of them lies outside is left out. Words that OCR found have boxes where
    `read_scan` finds them again. `scale` is in pixels a point. Raises ParseFailure if the file
    cannot be opened or has no such page.
    """
    document = open_pdf(path)
    try:
        if not 1 <= page <= len(document):
            raise ParseFailure(f"it has {len(document)} pages, so there is no page {page}")
        sheet = open_page(document, page - 1)
        scale = min(scale, _LARGEST / max(sheet.get_size()))
        picture = sheet.render(scale=scale).to_pil()
        size = picture.size
        boxes = _boxes(sheet, size, spans, read_scan)
        stream = io.BytesIO()
        picture.save(stream, format="PNG")
        return PageView(stream.getvalue(), tuple(boxes), *size)
    finally:
        document.close()


def _boxes(
    sheet: Any,
    size: tuple[int, int],
    spans: Sequence[tuple[int, int]],
    read_scan: "Callable[[Any], ScannedPage] | None",
) -> list[Box]:
    """The boxes of `spans` on the picture of this page, one a line."""
    text = page_text(sheet)
    if not text.text.strip():
        return _lines(_scanned(read_scan(sheet), size, spans)) if spans and read_scan else []
    with upright_textpage(sheet) as textpage:
        found = [
            corners
            for start, end in spans
            for first, count in _index_ranges(text, start, end)
            for corners in _rectangles(textpage, first, count)
        ]
    boxes = (_on_picture(sheet, size, corners) for corners in dict.fromkeys(found))
    return _lines(box for box in boxes if box.left < box.right and box.top < box.bottom)


def _scanned(
    page: "ScannedPage", size: tuple[int, int], spans: Sequence[tuple[int, int]]
) -> Iterator[Box]:
    """The boxes of the words of `spans` that OCR found."""
    width, height = size
    sources = [i for start, end in spans for i in page.text.sources[max(start, 0) : max(end, 0)]]
    for place in dict.fromkeys(page.places[i] for i in sources if i is not None):
        if place is not None:
            left, top, right, bottom = place
            yield Box(left * width, top * height, right * width, bottom * height)


def _lines(boxes: Iterable[Box]) -> list[Box]:
    """The boxes with those that follow each other on a line made one."""
    lines: list[Box] = []
    for box in boxes:
        if lines and _on_one_line(lines[-1], box):
            last = lines[-1]
            lines[-1] = Box(
                min(last.left, box.left),
                min(last.top, box.top),
                max(last.right, box.right),
                max(last.bottom, box.bottom),
            )
        else:
            lines.append(box)
    return lines


def _on_one_line(box: Box, following: Box) -> bool:
    height = min(box.bottom - box.top, following.bottom - following.top)
    overlap = min(box.bottom, following.bottom) - max(box.top, following.top)
    gap = following.left - box.right
    return overlap > 0.4 * height and abs(gap) < 2 * (box.bottom - box.top)


def _index_ranges(text: PageText, start: int, end: int) -> Iterator[tuple[int, int]]:
    """First index and length of the runs of PDFium's characters behind `text[start:end]`."""
    indices = [i for i in text.sources[max(start, 0) : max(end, 0)] if i is not None]
    first = 0
    for i in range(1, len(indices) + 1):
        if i == len(indices) or indices[i] - indices[i - 1] > 1:
            yield indices[first], indices[i - 1] - indices[first] + 1
            first = i


def _rectangles(textpage: Any, first: int, count: int) -> Iterator[tuple[float, ...]]:
    """Left, top, right, bottom of the lines of these characters, in points on the page."""
    corners = [ctypes.c_double() for _ in range(4)]
    for i in range(pdfium.FPDFText_CountRects(textpage, first, count)):
        pdfium.FPDFText_GetRect(textpage, i, *corners)
        yield tuple(corner.value for corner in corners)


def _on_picture(sheet: Any, size: tuple[int, int], corners: tuple[float, ...]) -> Box:
    """The box of page coordinates on the picture, which turns and crops the page as it says."""
    left, top, right, bottom = corners
    x, y = ctypes.c_int(), ctypes.c_int()
    points = []
    for corner in ((left, top), (right, bottom)):
        pdfium.FPDF_PageToDevice(sheet, 0, 0, *size, 0, *corner, x, y)
        points.append((float(x.value), float(y.value)))
    (left, right), (top, bottom) = (sorted(ends) for ends in zip(*points, strict=True))
    width, height = size
    return Box(max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height))
