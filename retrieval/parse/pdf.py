"""PDF -> text with page starts."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pypdfium2
import pypdfium2.raw as pdfium

from retrieval.parse.pdf_page import PageText, page_text
from retrieval.types import Extracted, ParseFailure

NO_TEXT = "no text found: scanned? (OCR is off: --ocr or ORBWEAVER_OCR=1)"
_PAGE_GAP = "\n\n"

# Reads a pypdfium2 page that has no text of its own.
ScanReader = Callable[[Any], PageText]


def extract_pdf(path: Path, limit: int, read_scan: ScanReader | None = None) -> Extracted:
    """The text of the PDF at `path`; pages without any go to `read_scan`. Raises ParseFailure."""
    document = open_pdf(path)
    try:
        title = document.get_metadata_value("Title").strip()
        parts: list[str] = []
        starts = []
        length = 0
        for page in page_texts(document, read_scan):
            starts.append(length)
            parts.append(page.text)
            length += len(page.text) + len(_PAGE_GAP)
            if length > limit:
                raise ParseFailure(f"more than {limit:,} characters of text")
    finally:
        document.close()
    text = _PAGE_GAP.join(parts)
    if not text.strip():
        raise ParseFailure(NO_TEXT if read_scan is None else "no text found, nor by OCR")
    return Extracted(title, text, tuple(starts), "application/pdf")


def open_pdf(path: Path) -> Any:
    """The pypdfium2 document at `path`. Raises ParseFailure."""
    try:
        return pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if error.err_code == pdfium.FPDF_ERR_PASSWORD:
            raise ParseFailure("password-protected") from None
        raise ParseFailure("damaged PDF: it cannot be opened") from None


def page_texts(document: Any, read_scan: ScanReader | None = None) -> Iterator[PageText]:
    """The text of each page, in order; that of a page that cannot be read is empty."""
    for i in range(len(document)):
        try:
            page = open_page(document, i)
        except pypdfium2.PdfiumError:
            yield PageText("", ())
            continue
        text = page_text(page)
        yield read_scan(page) if read_scan is not None and not text.text.strip() else text
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
