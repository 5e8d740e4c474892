"""A scanned PDF from upload to the boxed words, where OCR is installed."""

import io
import threading

import pytest
from PIL import Image, ImageDraw, ImageFont

from app.ingest.worker import run_worker
from app.library import Library, State
from app.serving.service import Service
from app.settings import load_settings
from retrieval.parse.ocr import installed

pytestmark = [
    pytest.mark.java,
    pytest.mark.skipif(not installed(), reason="OCR is not installed: make ocr"),
]

WORDS = "The mill burned down in 1788."


@pytest.fixture
def scan():
    """A PDF that holds nothing but a picture of WORDS."""
    picture = Image.new("RGB", (900, 400), "white")
    font = ImageFont.load_default(size=44)
    ImageDraw.Draw(picture).text((80, 150), WORDS, fill="black", font=font)
    file = io.BytesIO()
    picture.save(file, format="PDF")
    return file.getvalue()


def test_a_scan_is_ready_once_ocr_is_switched_on_and_its_words_are_boxed(tmp_path, scan):
    library = Library.open(tmp_path / "home")
    shelf = library.create_collection("Shelf")
    row = library.add_file(shelf.id, "mill.pdf", io.BytesIO(scan))
    run_worker(library.home, stop=threading.Event(), once=True)
    assert library.document(row.id).state is State.FAILED
    assert "ORBWEAVER_OCR" in library.document(row.id).reason

    library.retry(row.id)
    run_worker(library.home, stop=threading.Event(), once=True, ocr=True)
    assert library.document(row.id).state is State.READY
    service = Service(load_settings(home=library.home), library)
    service.load()
    try:
        text = service.index(shelf.id).text(row.digest)
        assert text == WORDS
        start = text.index("1788")
        view = service.view(shelf.id, row.digest, start, start + 4, 1)
        assert (view.words, view.has_picture) == ("1788", True)
        (box,) = service.picture(shelf.id, row.digest, 1, start, start + 4).boxes
    finally:
        service.close()
    left, top, right, bottom = box
    assert 0.5 < left < right < 0.95
    assert 0.3 < top < bottom < 0.6
