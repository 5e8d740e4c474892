"""Scanned pages: read when asked for, said when not, boxed where they stand, within their time."""

import io

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen import canvas

from retrieval.parse import Limits, ParserPool
from retrieval.parse.ocr import OcrMissing, installed
from retrieval.types import ParseFailure

needs_ocr = pytest.mark.skipif(not installed(), reason="OCR is not installed: make ocr")
SHEET = (360, 160)  # points
LINES = ("The mill at Saltry burned", "down on 3 May 1788.")
LEFT, BASELINES, FONT = 30, (110, 90), 16


def typed(sheet):
    sheet.setFont("Helvetica", FONT)
    for line, y in zip(LINES, BASELINES, strict=True):
        sheet.drawString(LEFT, y, line)


def picture_of(path):
    """The first page of a PDF as a picture."""
    document = pypdfium2.PdfDocument(path)
    picture = document[0].render(scale=2.5).to_pil()
    document.close()
    return picture


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A PDF whose first page is typed and whose second is a picture of it; the third is blank."""
    folder = tmp_path_factory.mktemp("scan")
    sheet = canvas.Canvas(str(folder / "typed.pdf"), pagesize=SHEET)
    typed(sheet)
    sheet.save()
    sheet = canvas.Canvas(str(folder / "scan.pdf"), pagesize=SHEET)
    sheet.drawString(LEFT, 100, "A typed page.")
    sheet.showPage()
    sheet.drawImage(ImageReader(picture_of(folder / "typed.pdf")), 0, 0, *SHEET)
    sheet.showPage()
    sheet.showPage()
    sheet.save()
    return folder / "scan.pdf"


@pytest.fixture(scope="module")
def only_scanned(tmp_path_factory, scan):
    path = tmp_path_factory.mktemp("scan") / "all.pdf"
    document = pypdfium2.PdfDocument(scan)
    document.del_page(0)
    document.save(path)
    document.close()
    return path


def test_without_ocr_a_scan_fails_and_the_reason_says_what_would_help(only_scanned):
    with ParserPool() as pool, pytest.raises(ParseFailure) as failure:
        pool.parse(only_scanned, "all.pdf")
    assert failure.value.reason.startswith("no text found: scanned?")
    assert "--ocr" in failure.value.reason


@pytest.mark.skipif(installed(), reason="OCR is installed")
def test_asking_for_ocr_where_it_is_not_installed_says_how_to_get_it():
    with pytest.raises(OcrMissing, match="make ocr"):
        ParserPool(ocr=True)


@needs_ocr
def test_pages_without_text_are_read_and_their_words_boxed(scan):
    with ParserPool(ocr=True) as pool:
        extracted = pool.parse(scan, "scan.pdf")
        first, second, third = extracted.page_starts
        assert extracted.text[first:second].strip() == "A typed page."
        assert extracted.text[second:third].strip() == " ".join(LINES)
        assert third == len(extracted.text)
        start = extracted.text.index("1788") - second
        view = pool.page_view(scan, 2, [(start, start + 4)], scale=2.0)
        assert pool.page_view(scan, 3, [(0, 4)]).boxes == ()
    (box,) = view.boxes
    x = LEFT + stringWidth("down on 3 May 17", "Helvetica", FONT)
    y = SHEET[1] - BASELINES[1] - 0.4 * FONT
    assert box.left / 2 < x < box.right / 2
    assert box.top / 2 < y < box.bottom / 2
    assert (box.right - box.left) / 2 < 4 * FONT
    assert Image.open(io.BytesIO(view.png)).size == (view.width, view.height)


@needs_ocr
def test_a_page_has_a_time_limit_of_its_own(only_scanned):
    limits = Limits(ocr_page_seconds=0.05)
    with (
        ParserPool(limits=limits, ocr=True) as pool,
        pytest.raises(ParseFailure, match=r"^OCR of a page took longer than 0\.05 s$"),
    ):
        pool.parse(only_scanned, "all.pdf")


@needs_ocr
def test_a_file_has_a_time_limit_for_all_its_pages(only_scanned):
    limits = Limits(ocr_seconds=0.05)
    with (
        ParserPool(limits=limits, ocr=True) as pool,
        pytest.raises(ParseFailure, match=r"^OCR took longer than 0\.05 s: split the file$"),
    ):
        pool.parse(only_scanned, "all.pdf")
