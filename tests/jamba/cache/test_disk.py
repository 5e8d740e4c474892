"""Snapshots in files: they outlive the process, and nothing wrong with one ever gives a token."""

import json
import os
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from jamba.cache.disk import SnapshotFolder
from jamba.cache.prefixes import as_bytes
from jamba.cache.snapshots import SnapshotStore
from jamba.engine import Engine
from jamba.sampling import SamplingParams

PROMPT = list(range(10, 50))
GREEDY = SamplingParams(max_tokens=6, ignore_eos=True)


@pytest.fixture
def ask(model, tmp_path):
    """Ask in what might be a new process: nothing but the folder is carried over."""

    def ask(prompt=PROMPT, boundaries=(10, 20, 30), tags=(), **limits):
        with Engine(model, SnapshotStore(folder=tmp_path, **limits)) as engine:
            request = engine.submit(prompt, GREEDY, boundaries=boundaries, tags=tags)
            return list(engine.stream(request)), request.metrics

    return ask


@pytest.fixture
def expected(model):
    with Engine(model) as engine:
        return list(engine.stream(engine.submit(PROMPT, GREEDY)))


def files(folder):
    return sorted(folder.glob("*.safetensors"))


def test_another_process_goes_on_from_the_files(ask, expected, tmp_path):
    assert ask()[0] == expected
    assert len(files(tmp_path)) == 4
    again, metrics = ask()
    assert again == expected
    assert (metrics.cached_tokens, metrics.restored_from) == (40, "disk")
    _, other = ask([*PROMPT[:30], 3, 4])
    assert (other.cached_tokens, other.restored_from) == (30, "disk")
    assert not list(tmp_path.glob(".partial-*"))


def test_what_was_read_is_in_memory_afterwards(model, ask, expected, tmp_path):
    ask()
    with Engine(model, SnapshotStore(folder=tmp_path)) as engine:
        for source in ("disk", "memory"):
            request = engine.submit(PROMPT, GREEDY, boundaries=[10, 20, 30])
            assert list(engine.stream(request)) == expected
            assert request.metrics.restored_from == source


@pytest.fixture
def slow_disk(monkeypatch):
    """Reading files begins at once and ends when the second event is set."""
    begun, goes_on = Event(), Event()
    read = SnapshotFolder.chain

    def wait(*arguments):
        begun.set()
        assert goes_on.wait(60)
        return read(*arguments)

    monkeypatch.setattr(SnapshotFolder, "chain", wait)
    yield begun, goes_on
    goes_on.set()


def test_streams_go_on_while_a_state_is_read_from_its_file(
    ask, model, expected, slow_disk, tmp_path
):
    begun, goes_on = slow_disk
    goes_on.set()
    ask()
    goes_on.clear()
    store = SnapshotStore(folder=tmp_path)
    with Engine(model, store) as engine:
        restored = engine.submit(PROMPT, GREEDY, boundaries=[10, 20, 30])
        assert begun.wait(60)
        assert engine.load.waiting == 1
        assert len(store) == 0  # which answers meanwhile
        goes_on.set()
        assert list(engine.stream(restored)) == expected
        assert restored.metrics.restored_from == "disk"
        stream = engine.stream(engine.submit([5, 6, 7], replace(GREEDY, max_tokens=200)))
        next(stream)
        goes_on.clear()
        held = engine.submit([*PROMPT[:30], 9], GREEDY, boundaries=[10, 20, 30])
        assert len(list(stream)) == 199
        assert not held.is_stopped
        engine.cancel(held)
        goes_on.set()
        assert list(engine.stream(held)) == []
        assert engine.load.running == 0


def test_what_is_forgotten_while_it_is_read_stays_away(ask, model, expected, slow_disk, tmp_path):
    begun, goes_on = slow_disk
    goes_on.set()
    ask(tags=["doc"])
    begun.clear()
    goes_on.clear()
    store = SnapshotStore(folder=tmp_path)
    read = SnapshotFolder._load
    with Engine(model, store) as engine:
        request = engine.submit(PROMPT, GREEDY, boundaries=[10, 20, 30])
        assert begun.wait(60)
        SnapshotFolder._load = lambda self, *found: loaded[found[1]]  # as if read before
        loaded = {}
        try:
            folder = SnapshotFolder(tmp_path)
            for path in files(tmp_path):
                name = bytes.fromhex(path.stem)
                loaded[name] = read(folder, engine._fingerprint, name, as_bytes(PROMPT))
            assert store.forget("doc") == 4
            goes_on.set()
            assert list(engine.stream(request)) == expected
        finally:
            SnapshotFolder._load = read
        assert request.metrics.cached_tokens == 0


def test_a_state_evicted_from_memory_comes_back_from_its_file(model, expected, tmp_path):
    store = SnapshotStore(folder=tmp_path)
    with Engine(model, store) as engine:
        list(engine.stream(engine.submit(PROMPT, GREEDY, boundaries=[20])))
        store.flush()
        store.max_bytes = 1
        list(engine.stream(engine.submit([1, 2], GREEDY)))
        assert len(store) == 0
        store.max_bytes = 2**30
        request = engine.submit(PROMPT, GREEDY, boundaries=[20])
        assert list(engine.stream(request)) == expected
        assert (request.metrics.cached_tokens, request.metrics.restored_from) == (40, "disk")


def rewritten(path: Path, metadata: dict[str, str] | None = None, **tensors: Any) -> None:
    """Write a file again with other contents under the same name."""
    with safe_open(path, framework="pt") as file:
        old = file.metadata()
    save_file(load_file(path) | tensors, path, metadata=old | (metadata or {}))


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 0x10
    path.write_bytes(bytes(raw))


DAMAGE = {
    "truncated": truncate,
    "bit flipped": flip,
    "empty": lambda path: path.write_bytes(b""),
    "not safetensors": lambda path: path.write_bytes(b"\xff" * 4096),
    "another format": lambda path: rewritten(path, {"format": "orbweaver-snapshot-0"}),
    "another model": lambda path: rewritten(path, {"fingerprint": "00"}),
    "other logits": lambda path: rewritten(path, logits=torch.zeros(97)),
    "other tokens": lambda path: rewritten(path, tokens=torch.zeros(10, dtype=torch.int32)),
    "no metadata": lambda path: save_file({"a": torch.zeros(1)}, path),
    "removed": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_any_damage_is_a_clean_miss(ask, expected, tmp_path, damage):
    ask()
    for path in files(tmp_path):
        damage(path)
    tokens, metrics = ask()
    assert tokens == expected
    assert (metrics.cached_tokens, metrics.restored_from) == (0, "none")
    assert ask()[1].cached_tokens == 40  # the bad files have been replaced


def test_a_gap_in_the_chain_is_a_miss_of_what_lies_below(ask, expected, tmp_path):
    ask()
    ends = {}
    for path in files(tmp_path):
        with safe_open(path, framework="pt") as file:
            ends[int(file.metadata()["end"])] = path
    ends[20].unlink()
    tokens, metrics = ask()
    assert tokens == expected
    assert metrics.cached_tokens == 10


def test_another_model_shares_the_folder_but_no_state(ask, hybrid, model, tmp_path):
    from jamba.network.weights import load_model

    ask()
    other = load_model(hybrid.folder)
    other.model.layers[0].mamba.D.mul_(1.5)
    with Engine(other, SnapshotStore(folder=tmp_path)) as engine:
        request = engine.submit(PROMPT, GREEDY, boundaries=[10, 20, 30])
        list(engine.stream(request))
    assert request.metrics.cached_tokens == 0
    assert len(files(tmp_path)) == 8


def test_forgetting_removes_the_files_and_those_that_go_on_from_them(ask, tmp_path):
    ask(tags=["doc"])
    ask([*PROMPT[:30], 5, 6])  # goes on from a tagged prefix under no tag of its own
    ask([7, 8, 9], boundaries=[2], tags=["other"])
    assert SnapshotStore(folder=tmp_path).forget("doc") == 5
    assert len(files(tmp_path)) == 2
    tags = [json.loads(safe_open(p, framework="pt").metadata()["tags"]) for p in files(tmp_path)]
    assert tags == [["other"], ["other"]]


def test_the_disk_budget_holds_and_the_oldest_go(ask, tmp_path):
    ask([1, 2, 3], boundaries=())
    size = files(tmp_path)[0].stat().st_size
    for first in range(2, 8):
        os.utime(files(tmp_path)[0], (first, first))
        ask([first, 2, 3], boundaries=(), max_disk_bytes=3 * size)
    assert len(files(tmp_path)) <= 3
    assert ask([7, 2, 3], boundaries=())[1].restored_from == "disk"


def test_a_folder_that_cannot_be_written_costs_no_answer(model, expected, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    store = SnapshotStore(folder=blocked)
    with Engine(model, store) as engine:
        assert list(engine.stream(engine.submit(PROMPT, GREEDY))) == expected
        assert list(engine.stream(engine.submit(PROMPT, GREEDY))) == expected
    assert store.counters.unwritable == 1


def test_a_killed_writer_leaves_only_what_is_swept_up(ask, tmp_path):
    partial = tmp_path / ".partial-abandoned"
    partial.write_bytes(b"half")
    os.utime(partial, (0, 0))
    ask()
    assert not partial.exists()
    assert ask()[1].cached_tokens == 40
