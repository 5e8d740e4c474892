"""OCR: the words in the picture of a PDF page, each with its place; an optional extra.

RapidOCR brings its models inside its package, so nothing is fetched. It finds pieces of lines;
from then on a scanned page goes the way of any other (ocr_layout.py, pdf_lines.py, pdf_tables.py).
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

from retrieval.parse.ocr_layout import Piece, ScannedPage, Word, laid_out
from retrieval.types import RetrievalError

_LARGEST = 2000  # pixels on the longer side, beyond which RapidOCR shrinks a picture anyway
_SCALE = 4.0  # pixels a point at most: small pages gain nothing from more


class OcrMissing(RetrievalError):
    """OCR was asked for and is not installed."""


def installed() -> bool:
    """Whether the extra is there; nothing is loaded to find out."""
    return find_spec("rapidocr") is not None


def require() -> None:
    """Raise OcrMissing unless OCR can be used."""
    if not installed():
        raise OcrMissing(
            "OCR is not installed: 'make ocr' or pip install 'orbweaver[ocr]' adds it; or leave "
            "--ocr (ORBWEAVER_OCR) away"
        )


def read_page(page: Any) -> ScannedPage:
    """The words in the picture of a pypdfium2 page, in reading order; about ten seconds of work."""
    import numpy as np

    scale = min(_SCALE, _LARGEST / max(page.get_size()))
    picture = page.render(scale=scale).to_pil().convert("RGB")
    darkest, lightest = picture.convert("L").getextrema()
    if darkest == lightest:
        return laid_out([], picture.size)
    pixels = np.asarray(picture)[:, :, ::-1]  # (height, width, 3), blue first
    found = _engine()(pixels, return_word_box=True)
    if found.txts is None:
        return laid_out([], picture.size)
    pieces = [
        Piece(text, tuple(map(tuple, corners.tolist())), _words(words))
        for text, corners, words in zip(found.txts, found.boxes, found.word_results, strict=True)
    ]
    return laid_out(pieces, picture.size)


@cache
def _engine() -> Any:
    """RapidOCR with its bundled models; one thread, for other files are read beside this one."""
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(1)
    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Rec.rec_batch_num": 1,  # lines are padded to the longest of a batch
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _words(found: Any) -> tuple[Word, ...]:
    """RapidOCR's (text, score, corners) of the words of a piece, as values."""
    return tuple(
        Word(
            text,
            min(x for x, _ in corners),
            min(y for _, y in corners),
            max(x for x, _ in corners),
            max(y for _, y in corners),
        )
        for text, _, corners in found
    )
