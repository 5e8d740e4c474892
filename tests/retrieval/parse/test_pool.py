"""The pool: answers, limits, hostile files, and children that never outlive their use."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from retrieval.parse import Limits, ParserPool
from retrieval.parse import pool as pool_module
from retrieval.types import Extracted, ParseFailure
from tests.retrieval.parse.reading_children import reading_children


@pytest.fixture
def note(tmp_path):
    path = tmp_path / "stored"
    path.write_text("Grüße aus Köln.", encoding="utf-8")
    return path


def test_reads_a_file_by_the_name_its_owner_gave_it(note):
    with ParserPool() as pool:
        extracted = pool.parse(note, "my_letter.txt")
    assert extracted == Extracted("my letter", "Grüße aus Köln.", (), "text/plain")
    assert reading_children() == []


def test_many_come_in_order_and_one_failure_stops_nothing(note, tmp_path):
    empty = tmp_path / "empty"
    empty.touch()
    paths = [note, empty, tmp_path / "absent", note] * 5
    with ParserPool(workers=2) as pool:
        results = list(pool.parse_many((path, path.name) for path in paths))
    assert [i for i, _ in results] == list(range(20))
    kinds = [type(result) for _, result in results]
    assert kinds == [Extracted, ParseFailure, ParseFailure, Extracted] * 5
    assert results[1][1].reason == "empty file"
    assert results[2][1].reason == "cannot be opened: no such file or directory"


def test_a_child_is_reused_and_replaced_after_its_share(note, monkeypatch):
    monkeypatch.setattr(pool_module, "_FILES_A_CHILD", 3)
    seen = []
    with ParserPool() as pool:
        for _ in range(6):
            pool.parse(note, "n.txt")
            seen += reading_children()
    assert len(seen) == 4  # twice: two files by one child, which ends after the third
    assert len(set(seen)) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe, a file without end")
def test_a_file_that_takes_too_long_fails_and_the_next_is_read(note, tmp_path):
    endless = tmp_path / "endless.txt"
    os.mkfifo(endless)
    with ParserPool(limits=Limits(seconds=2)) as pool:
        with pytest.raises(ParseFailure, match="took longer than 2 s"):
            pool.parse(endless, "endless.txt")
        assert pool.parse(note, "n.txt").text


def test_limits_on_size_and_text(note):
    with ParserPool(limits=Limits(file_bytes=4)) as pool, pytest.raises(ParseFailure) as failure:
        pool.parse(note, "n.txt")
    assert "larger than" in failure.value.reason
    with ParserPool(limits=Limits(characters=4)) as pool, pytest.raises(ParseFailure) as failure:
        pool.parse(note, "n.txt")
    assert failure.value.reason == "more than 4 characters of text"


def test_a_child_killed_from_outside_is_a_failure_of_that_file_only(note):
    with ParserPool() as pool:
        pool.parse(note, "n.txt")
        (pid,) = reading_children()
        psutil.Process(pid).kill()
        psutil.Process(pid).wait()
        assert pool.parse(note, "n.txt").text


def test_closing_ends_the_children_and_refuses_more(note):
    pool = ParserPool()
    pool.parse(note, "n.txt")
    pool.close()
    assert reading_children() == []
    with pytest.raises(ParseFailure, match="stopped"):
        pool.parse(note, "n.txt")


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_children_end_when_the_parent_is_killed(note):
    code = (
        "import sys, time; from pathlib import Path; from retrieval.parse import ParserPool\n"
        "pool = ParserPool(); pool.parse(Path(sys.argv[1]), 'n.txt'); print('ready', flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(note)], stdout=subprocess.PIPE, cwd=Path.cwd()
    )
    assert parent.stdout.readline() == b"ready\n"
    (child,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)


def test_children_start_light(note):
    code = (
        "import sys\nimport retrieval.parse.child\n"
        "heavy = {'torch', 'numpy', 'lxml', 'gradio', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path.cwd())
