"""Child processes that read files, so that no file can hang, bloat or crash the program.

A child is `python -c` with this program's import path, not a fork (unsafe beside a JVM) and not
`multiprocessing` (which imports the main module again, and unpickles what a child sends).
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import LifoQueue
from types import TracebackType
from typing import Any

from retrieval.parse.frames import Frame, read_frame, write_frame
from retrieval.parse.limits import DEFAULT_LIMITS, Limits
from retrieval.parse.ocr import require as require_ocr
from retrieval.parse.page_view import Box, PageView
from retrieval.types import Extracted, ParseFailure

_FILES_A_CHILD = 50
# All a reader may know of ours: no keys or tokens beside a file that may be hostile.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "SYSTEMROOT", "LD_LIBRARY_PATH")
_STOPPED = "stopped before it was read"
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]);"
    "from retrieval.parse.child import main; main(json.loads(sys.argv[2]))"
)


class ParserPool:
    """Reads files in at most `workers` children at a time; a context manager, safe to share.

    With `ocr`, PDF pages without text are read by OCR. Raises OcrMissing where that is not there.
    """

    def __init__(
        self, workers: int = 1, limits: Limits = DEFAULT_LIMITS, *, ocr: bool = False
    ) -> None:
        if ocr:
            require_ocr()
        self._ocr = ocr
        self._children: LifoQueue[_Child] = LifoQueue()
        self._all = [_Child(limits) for _ in range(workers)]
        for child in self._all:
            self._children.put(child)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="parse")

    def __enter__(self) -> "ParserPool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every child; a file being read fails."""
        for child in self._all:
            child.kill()
        returned = [self._children.get() for _ in self._all]  # each by whoever saw it die
        for child in returned:
            child.stop()
            self._children.put(child)  # so that who asks now hears that it has ended
        self._threads.shutdown(cancel_futures=True)

    def parse(self, path: Path, name: str) -> Extracted:
        """The text of the file at `path`. Raises ParseFailure with a reason in plain words."""
        request = {"do": "extract", "name": name, "ocr": self._ocr}
        answer = self._ask({**request, "path": str(path.absolute())})
        fields = answer.header
        starts = tuple(fields["page_starts"])
        return Extracted(fields["title"], answer.body.decode(), starts, fields["media_type"])

    def page_view(
        self, path: Path, page: int, spans: Sequence[tuple[int, int]], scale: float = 1.5
    ) -> PageView:
        """A page of a PDF as `pdf_view.page_view` shows it. Raises ParseFailure."""
        request = {"do": "view", "page": page, "spans": list(spans), "scale": scale}
        answer = self._ask({**request, "path": str(path.absolute())})
        fields = answer.header
        boxes = tuple(Box(**box) for box in fields["boxes"])
        return PageView(answer.body, boxes, fields["width"], fields["height"])

    def parse_many(
        self, items: Iterable[tuple[Path, str]]
    ) -> Iterator[tuple[int, Extracted | ParseFailure]]:
        """The text or the failure of each (path, name), numbered from 0, in order.

        Reads only a few files ahead of what has been taken.
        """
        ahead: deque[Future[Extracted | ParseFailure]] = deque()
        numbered = enumerate(self._threads.submit(self._attempt, *item) for item in items)
        taken = 0
        for _, future in numbered:
            ahead.append(future)
            if len(ahead) > 2 * len(self._all):
                yield taken, ahead.popleft().result()
                taken += 1
        while ahead:
            yield taken, ahead.popleft().result()
            taken += 1

    def _attempt(self, path: Path, name: str) -> Extracted | ParseFailure:
        try:
            return self.parse(path, name)
        except ParseFailure as failure:
            return failure

    def _ask(self, request: dict[str, Any]) -> Frame:
        child = self._children.get()
        try:
            return child.ask(request)
        finally:
            self._children.put(child)


class _Child:
    """One child process, started when first asked and again after it ended."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0
        self._killed = False
        self._lock = threading.Lock()  # between starting a process and killing for good

    def ask(self, request: dict[str, Any]) -> Frame:
        """The child's answer. Raises ParseFailure, also if the child ran out of time or died."""
        process = self._running()
        clock = _Clock(process, self._limits)
        answer = _exchange(process, request, clock)
        clock.stop()
        self._asked += 1
        if answer is None or "spent" in answer.header or self._asked == _FILES_A_CHILD:
            self.stop()
        if answer is None:
            raise ParseFailure(self._why(clock.late))
        if "failure" in answer.header:
            raise ParseFailure(answer.header["failure"])
        return answer

    def kill(self) -> None:
        """End the process, now and for good; `stop` must follow once nobody is asking."""
        with self._lock:
            self._killed = True
            if self._process is not None:
                self._process.kill()

    def stop(self) -> None:
        """End the process, if there is one, and let go of its pipes."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # a request that could not be delivered
                    pipe.close()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        with self._lock:
            if self._killed:
                raise ParseFailure(_STOPPED)
            if self._process is None:
                self._process = _start(self._limits)
                self._asked = 0
            return self._process

    def _why(self, late: str | None) -> str:
        if late is not None:
            return late
        return _STOPPED if self._killed else "damaged file: it crashed the reader"


class _Clock:
    """Ends a process that takes too long: over a file, over a page for OCR, over all such pages."""

    def __init__(self, process: subprocess.Popen[bytes], limits: Limits) -> None:
        self.late: str | None = None  # why the process was ended, if it was
        self._process, self._limits = process, limits
        self._ends = time.monotonic() + limits.ocr_seconds
        self._timer = self._run(limits.seconds, f"took longer than {limits.seconds:g} s")

    def begin_scan(self) -> None:
        """Grant the time for one page, as far as the file has some left."""
        self._timer.cancel()
        page, left = self._limits.ocr_page_seconds, self._ends - time.monotonic()
        if page < left:
            self._timer = self._run(page, f"OCR of a page took longer than {page:g} s")
        else:
            reason = f"OCR took longer than {self._limits.ocr_seconds:g} s: split the file"
            self._timer = self._run(max(left, 0), reason)

    def stop(self) -> None:
        self._timer.cancel()

    def _run(self, seconds: float, reason: str) -> threading.Timer:
        timer = threading.Timer(seconds, self._end, (reason,))
        timer.start()
        return timer

    def _end(self, reason: str) -> None:
        self.late = reason
        self._process.kill()


def _start(limits: Limits) -> subprocess.Popen[bytes]:
    path = [os.path.abspath(entry) for entry in sys.path]
    return subprocess.Popen(
        [sys.executable, "-I", "-c", _START, json.dumps(path), json.dumps(asdict(limits))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
    )


def _exchange(
    process: subprocess.Popen[bytes], request: dict[str, Any], clock: _Clock
) -> Frame | None:
    """The answer to `request`; None if the process ended first."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        write_frame(process.stdin, Frame(request))
        while (answer := read_frame(process.stdout)) is not None and "scan" in answer.header:
            clock.begin_scan()
        return answer
    except OSError:
        return None
