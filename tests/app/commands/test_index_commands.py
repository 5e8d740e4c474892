"""index and search from the command line: exit codes, one-line errors, JSON last on stdout."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from retrieval.storage.lock import WriterLock

pytestmark = pytest.mark.java


def orbweaver(*arguments) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "app", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def last_json(done):
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "bees.txt").write_text("Bees were brought to the valley in 1950 to pollinate trees.")
    (docs / "press.txt").write_text("The cider press was built of oak by Tomas Berg.")
    (docs / "empty.txt").write_text("")
    done = orbweaver("index", "build", docs, "--out", folder / "out", "--encoder", "none", "--json")
    assert done.returncode == 0, done.stderr
    report = last_json(done)
    assert (report["passages"], len(report["ready"])) == (2, 2)
    assert [failure["path"] for failure in report["failed"]] == [str(docs / "empty.txt")]
    assert "2 ready, 1 failed" in done.stderr
    assert "Traceback" not in done.stderr
    return folder / "out"


def test_with_strict_what_cannot_be_read_stops_the_build(tmp_path):
    (tmp_path / "good.txt").write_text("Bees were brought to the valley in 1950.")
    (tmp_path / "empty.txt").write_text("")
    out = tmp_path / "out"
    done = orbweaver("index", "build", tmp_path, "--out", out, "--encoder", "none", "--strict")
    assert done.returncode == 1
    assert "empty.txt" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()


def test_search_finds_and_shows_why(index):
    done = orbweaver("search", index, "who built the press?", "--mode", "bm25", "--json")
    (hit,) = last_json(done)["hits"]
    assert (hit["document"], hit["parts"]["bm25"]["rank"]) == ("press.txt", 1)
    assert "Tomas Berg" in orbweaver("search", index, "who built the press?").stdout


def test_queries_become_a_run(index, tmp_path):
    (tmp_path / "q.jsonl").write_text('{"_id": "q1", "text": "bees"}\n{"_id": "q2", "text": ""}\n')
    done = orbweaver("search", index, "--queries", tmp_path / "q.jsonl", "--run", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "run").read_text().splitlines()
    assert line.startswith("q1 Q0 ")


def test_info_verify_and_remove(index, tmp_path):
    copy = shutil.copytree(index, tmp_path / "copy")
    assert last_json(orbweaver("index", "info", copy, "--json"))["counts"]["documents"] == 2
    assert orbweaver("index", "verify", copy).returncode == 0
    assert orbweaver("index", "remove", copy, "bees.txt").returncode == 0
    assert last_json(orbweaver("index", "info", copy, "--json"))["counts"]["documents"] == 1
    gone = orbweaver("index", "remove", copy, "bees.txt")
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)


def test_sync_says_what_it_does_and_does_it(index, tmp_path):
    copy, docs = shutil.copytree(index, tmp_path / "copy"), tmp_path / "docs"
    shutil.copytree(index.with_name("docs"), docs)
    (docs / "press.txt").write_text("The cider press was sold in 1960.")
    (docs / "bees.txt").unlink()
    (docs / "cat.txt").write_text("The miller's cat slept.")
    (docs / "empty.txt").unlink()
    planned = orbweaver("index", "sync", docs, "--index", copy, "--dry-run", "--json")
    said = {"added": ["cat.txt"], "changed": ["press.txt"], "renamed": [], "removed": ["bees.txt"]}
    rest = {"unchanged": 0, "failed": [], "passages": 2}
    assert last_json(planned) == {"dry_run": True, **said, **rest}
    assert "nothing is done yet" in planned.stderr
    done = orbweaver("index", "sync", docs, "--index", copy, "--json")
    assert last_json(done) == {"dry_run": False, **said, **rest}
    assert "1 added, 1 changed, 0 renamed, 1 removed" in done.stderr


def test_a_second_writer_is_told_of_the_first(index):
    lock = WriterLock(index)
    refused = orbweaver("index", "remove", index, "bees.txt")
    lock.release()
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert f"being written to by process {os.getpid()}" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["search", "nowhere", "question"], 1, "index build"),
        (["index", "build", "nowhere", "--out", "x"], 1, "no such file"),
        (["index", "info", "nowhere"], 1, "no index"),
        (["search", "nowhere"], 2, "QUESTION"),
    ],
)
def test_errors_are_short_and_say_what_to_do(arguments, code, word):
    done = orbweaver(*arguments)
    assert done.returncode == code
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_build_cleanly(tmp_path):
    source = tmp_path / "corpus.jsonl"
    with open(source, "w") as file:
        for n in range(300_000):
            file.write(json.dumps({"_id": str(n), "text": f"entry {n}"}) + "\n")
    command = ["index", "build", source, "--out", tmp_path / "out", "--encoder", "none"]
    child = subprocess.Popen(
        [sys.executable, "-m", "app", *map(str, command)], stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / ".out.building" / "passages.db").exists() and child.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "goes on from there" in errors
    assert "Traceback" not in errors
