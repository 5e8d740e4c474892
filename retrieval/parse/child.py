"""A child of the pool: reads one file after another until its parent is gone."""

import contextlib
import math
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from retrieval.parse.dispatch import extract
from retrieval.parse.frames import Frame, read_frame, write_frame
from retrieval.parse.limits import Limits
from retrieval.types import ParseFailure

if TYPE_CHECKING:
    from retrieval.parse.ocr_layout import ScannedPage
    from retrieval.parse.pdf_page import PageText

_GRACE = 5  # seconds past the time limit after which the system ends a child its parent did not end


def main(limits: dict[str, Any]) -> None:
    """Answer the requests on standard input until it ends."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # openpyxl loads numpy, whose threads take memory
    requests, answers = _take_pipes()
    ours = Limits(**limits)
    _confine(ours)
    asked: queue.SimpleQueue[Frame] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, asked), daemon=True).start()

    def begin_scan() -> None:
        """Tell the parent that a page comes which needs OCR: it grants the time for that."""
        _alarm(math.ceil(ours.ocr_page_seconds) + _GRACE)
        write_frame(answers, Frame({"scan": True}))

    while True:
        request = asked.get()
        _alarm(math.ceil(ours.seconds) + _GRACE)
        answer = _answer(request.header, ours, begin_scan)
        _alarm(0)
        write_frame(answers, answer)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Our ends of the pipes; whatever a library prints goes nowhere instead of into them."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nowhere, standard)
    return requests, answers


def _listen(requests: IO[bytes], asked: "queue.SimpleQueue[Frame]") -> None:
    """Pass requests on; end this process, busy or not, as soon as the parent is gone."""
    while (frame := read_frame(requests)) is not None:
        asked.put(frame)
    os._exit(0)


def _confine(limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(ValueError, OSError):  # systems without this limit
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def _alarm(seconds: int) -> None:
    """Let the system end this process in `seconds`, even from within a library; 0 calls it off."""
    if sys.platform != "win32":
        signal.alarm(seconds)


def _answer(request: dict[str, Any], limits: Limits, begin_scan: Callable[[], None]) -> Frame:
    try:
        return _do(request, limits, begin_scan)
    except ParseFailure as failure:
        return Frame({"failure": failure.reason})
    except MemoryError:
        reason = f"needs more than {limits.memory_bytes / 2**30:g} GB of memory"
        return Frame({"failure": reason, "spent": True})
    except Exception as error:  # a damaged page, say: the next file may well be fine
        return Frame({"failure": f"damaged file: {type(error).__name__}"})


def _do(request: dict[str, Any], limits: Limits, begin_scan: Callable[[], None]) -> Frame:
    path = Path(request["path"])
    if request["do"] == "view":
        return _view(request, path, begin_scan)

    def read_scan(page: Any) -> "PageText":
        from retrieval.parse.ocr import read_page

        begin_scan()
        return read_page(page).text

    extracted = asdict(
        extract(path, request["name"], limits, read_scan if request["ocr"] else None)
    )
    body = extracted.pop("text").encode()
    return Frame(extracted, body)


def _view(request: dict[str, Any], path: Path, begin_scan: Callable[[], None]) -> Frame:
    from retrieval.parse.ocr import installed
    from retrieval.parse.pdf_view import page_view

    def read_scan(_: Any) -> "ScannedPage":
        return _scanned(path, request["page"], path.stat().st_mtime_ns, begin_scan)

    ocr = read_scan if installed() else None
    view = asdict(page_view(path, request["page"], request["spans"], request["scale"], ocr))
    png = view.pop("png")
    return Frame(view, png)


@lru_cache(maxsize=16)  # whoever opens one citation of a page opens others
def _scanned(
    path: Path, number: int, modified: int, begin_scan: Callable[[], None]
) -> "ScannedPage":
    from retrieval.parse.ocr import read_page
    from retrieval.parse.pdf import open_page, open_pdf

    begin_scan()
    document = open_pdf(path)
    try:
        return read_page(open_page(document, number - 1))
    finally:
        document.close()
