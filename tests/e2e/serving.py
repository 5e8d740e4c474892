"""A real server in a process of its own, as a person starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

import httpx

STARTING_SECONDS = 90
STOPPING_SECONDS = 30
ROOT = Path(__file__).parent.parent.parent


class Server:
    """`orbweaver serve` over `home` on a free port, from entering to leaving the block."""

    def __init__(self, home: Path, command: str = "serve") -> None:
        self.home = home
        self.log = home.with_name(f"{home.name}.log")
        self.address = ""
        self._command = [sys.executable, "-m", "app", command, "--port", "0", "--home", str(home)]

    def __enter__(self) -> "Server":
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            self._command, cwd=ROOT, stdout=self._output, stderr=self._output,
            env={**os.environ, "ORBWEAVER_SNAPSHOT_MB": "64"}, start_new_session=True,
        )  # fmt: skip
        try:
            self.address = self._await_address()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def stop(self) -> int:
        """Ctrl-C; the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOPPING_SECONDS)

    def _await_address(self) -> str:
        end = time.monotonic() + STARTING_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            found = re.search(r"http://127\.0\.0\.1:\d+", self.log.read_text("utf-8", "replace"))
            if found and _answers(found[0]):
                return found[0]
            time.sleep(0.2)
        raise AssertionError(f"the server did not start:\n{self.log.read_text('utf-8', 'replace')}")

    def _end(self) -> None:
        if self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._output.close()


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False
