"""What can happen to the folder of snapshots: a clean miss at worst, never a wrong token."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jamba.cache.snapshots import SnapshotStore
from jamba.engine import Engine
from jamba.sampling import SamplingParams

ROOT = Path(__file__).parents[3]
PROMPT = list(range(10, 50))
GREEDY = SamplingParams(max_tokens=6, ignore_eos=True)
ASK = """
import os, resource, signal, sys
from pathlib import Path
from jamba.engine import Engine
from jamba.sampling import SamplingParams
from jamba.cache.snapshots import SnapshotStore
from jamba.network.weights import load_model

model, folder = load_model(Path(sys.argv[1])), Path(sys.argv[2])
GREEDY = SamplingParams(max_tokens=6, ignore_eos=True)

def ask(prompt, **limits):
    store = SnapshotStore(folder=folder, **limits)
    with Engine(model, store) as engine:
        request = engine.submit(prompt, GREEDY, boundaries=[10, 20, 30])
        return list(engine.stream(request)), request.metrics, store
"""


def child(hybrid, folder, code):
    """Another process that has loaded the same model and runs the code."""
    command = [sys.executable, "-c", ASK + code, str(hybrid.folder), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def ask(model, folder, prompt=PROMPT, **limits):
    with Engine(model, SnapshotStore(folder=folder, **limits)) as engine:
        request = engine.submit(prompt, GREEDY, boundaries=[10, 20, 30])
        return list(engine.stream(request)), request.metrics


@pytest.fixture(scope="module")
def expected(model):
    with Engine(model) as engine:
        return list(engine.stream(engine.submit(PROMPT, GREEDY)))


@pytest.mark.slow
def test_two_processes_on_one_folder(hybrid, model, expected, tmp_path):
    """Both read, write, evict and forget the same prefixes with room for three files."""
    code = """
print("ready", flush=True)
for turn in range(30):
    tokens, metrics, store = ask(list(range(10, 50)), max_disk_bytes=60_000)
    if turn % 7 == 0:
        store.forget("nobody")
    print(tokens, flush=True)
"""
    other = child(hybrid, tmp_path, code)
    assert other.stdout.readline() == "ready\n"
    sources = set()
    while other.poll() is None:
        tokens, metrics = ask(model, tmp_path, max_disk_bytes=60_000)
        assert tokens == expected
        sources.add(metrics.restored_from)
    out, errors = other.communicate()
    assert other.returncode == 0, errors
    assert set(out.splitlines()) == {str(expected)}
    assert sources <= {"none", "disk"}


@pytest.mark.parametrize("killed_at", ["fsync", "replace"])
def test_a_writer_killed_on_the_way(hybrid, model, expected, tmp_path, killed_at):
    code = f"""
os.{killed_at} = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
ask(list(range(10, 50)))
"""
    writer = child(hybrid, tmp_path, code)
    writer.communicate()
    assert writer.returncode == -9
    assert list(tmp_path.glob(".partial-*"))
    tokens, metrics = ask(model, tmp_path)
    assert (tokens, metrics.cached_tokens) == (expected, 0)
    tokens, metrics = ask(model, tmp_path)
    assert (tokens, metrics.restored_from) == (expected, "disk")
    for path in tmp_path.glob(".partial-*"):
        os.utime(path, (time.time() - 7200, time.time() - 7200))
    ask(model, tmp_path, [1, 2, 3, *PROMPT])
    assert not list(tmp_path.glob(".partial-*"))


def test_a_full_disk_costs_no_answer_and_leaves_nothing(hybrid, expected, tmp_path):
    """No file of this process may grow past 4 KiB, which fails as a full disk does."""
    code = """
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
tokens, metrics, store = ask(list(range(10, 50)))
print(tokens, store.counters.unwritable, metrics.cached_tokens)
"""
    full = child(hybrid, tmp_path, code)
    out, errors = full.communicate()
    assert full.returncode == 0, errors
    assert out == f"{expected} 4 0\n"
    assert list(tmp_path.iterdir()) == []
