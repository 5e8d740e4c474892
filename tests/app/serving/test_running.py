"""`serve` as a person runs it: a real process, its worker, its end."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from app.ingest.worker_process import worker_status
from app.library import Library
from app.serving.running import RESTART_SECONDS, CannotListen, keep_worker, listen

TIMEOUT = 120


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def start(home, *flags, **env):
    command = [sys.executable, "-m", "app", "serve", "--home", str(home), "--port", "0", *flags]
    environment = {**os.environ, **env}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)


@pytest.fixture
def server(home):
    process = start(home)
    yield process
    process.kill()
    process.wait()
    process.stderr.close()


def address(process):
    """What it prints once it is about to answer."""
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line
    return found.group()


def worker_of(process):
    """The worker's process, once it runs."""
    return wait_for(
        lambda: next(
            (
                child
                for child in psutil.Process(process.pid).children()
                if "worker" in child.cmdline()
            ),
            None,
        )
    )


def wait_for(value):
    end = time.monotonic() + TIMEOUT
    while not (found := value()):
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.1)
    return found


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "term"]
)
def test_it_answers_and_ends_with_all_it_started(server, number, code):
    url = address(server)
    assert wait_for(lambda: answers(url))
    assert "window.gradio_config" in httpx.get(url, timeout=60).text
    started = [worker_of(server), *psutil.Process(server.pid).children(recursive=True)]
    server.send_signal(number)
    assert server.wait(30) == code
    gone, alive = psutil.wait_procs(started, timeout=15)
    assert (len(gone), alive) == (len(set(started)), [])


def answers(url):
    try:
        return httpx.get(f"{url}/healthz").json() == {"status": "ok"}
    except httpx.HTTPError:
        return False


def test_a_worker_that_dies_is_started_again(server):
    address(server)
    first = worker_of(server)
    first.kill()
    first.wait(10)
    again = wait_for(lambda: (found := worker_of(server)) and found.pid != first.pid)
    assert again


def deleted(folder):
    """Delete what is there; a worker may be writing meanwhile."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def test_a_library_that_is_deleted_gets_no_new_worker(home):
    Library.open(home)
    with keep_worker(home, None):
        wait_for(lambda: worker_status(home).running)
        wait_for(lambda: deleted(home))
        time.sleep(3 * RESTART_SECONDS)
    assert not home.exists()


def test_a_busy_port_is_one_line(home):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match="--port"), listen("127.0.0.1", port):
            pass
        process = start(home, "--port", str(port))
        _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert said.startswith(f"error: cannot listen on 127.0.0.1:{port}")
    assert said.count("\n") == 1


def test_the_network_without_a_password_is_refused_in_one_line(home):
    process = start(home, "--host", "0.0.0.0")
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1
    assert "--allow-open" in said
    assert said.count("\n") == 1
    assert not home.exists()
