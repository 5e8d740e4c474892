"""What a person sees of make itself."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parent.parent
TIMEOUT = 120


@pytest.fixture
def venv(tmp_path):
    """A folder that make takes for its environment: this one, with everything installed."""
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    python = tmp_path / "venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    (tmp_path / "venv" / ".runtime").touch()
    return tmp_path / "venv"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_ctrl_c_ends_the_demo_quietly_with_all_it_started(venv, tmp_path):
    environment = os.environ | {"ORBWEAVER_HOME": str(tmp_path / "home"), "ORBWEAVER_PORT": "0"}
    demo = subprocess.Popen(
        ["make", "demo", f"VENV={venv}"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    worker = wait_for_worker(demo)
    started = psutil.Process(demo.pid).children(recursive=True)
    os.killpg(demo.pid, signal.SIGINT)  # as a terminal does
    said, _ = demo.communicate(timeout=TIMEOUT)
    assert "Error" not in said
    assert "Traceback" not in said
    _, alive = psutil.wait_procs({worker, *started}, timeout=30)
    assert alive == []


def wait_for_worker(demo):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end and demo.poll() is None:
        for child in psutil.Process(demo.pid).children(recursive=True):
            if "worker" in command_of(child):
                return child
        time.sleep(0.1)
    raise AssertionError(f"no worker was started; make said: {demo.communicate()[0]}")


def command_of(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
