"""Sources become a whole index or none; a killed build goes on where it was."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from retrieval.index import Index
from retrieval.ingest.build import add_sources, build_index
from retrieval.ingest.pipeline import BuildReport
from retrieval.ingest.sources import find_sources
from retrieval.storage.verify import verify_index
from retrieval.types import Mode, RetrievalError
from tests.retrieval.conftest import TEXTS

pytestmark = pytest.mark.java


def quiet(stage, done, total):
    assert 0 <= done <= total, stage


def built(sources, out, **options) -> BuildReport:
    return build_index(sources, out, encoder=None, progress=quiet, **options)


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def corpus(path, count):
    entries = [{"_id": f"e{n}", "title": "", "text": f"entry number{n}"} for n in range(count)]
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_files_become_documents(docs, tmp_path):
    (docs / "empty.txt").write_text("")
    (docs / "copy.txt").write_text(TEXTS["bees"])
    report = built([docs], tmp_path / "out")
    assert sorted(os.path.basename(path) for path in report.ready) == sorted(
        [f"{name}.txt" for name in TEXTS] + ["copy.txt"]
    )
    assert [os.path.basename(failure.path) for failure in report.failed] == ["empty.txt"]
    assert report.passages == len(TEXTS)
    assert set(report.seconds) >= {"parse", "chunk", "store", "lucene", "total"}
    assert verify_index(tmp_path / "out") == []
    assert not (tmp_path / ".out.building").exists()


def test_a_corpus_keeps_its_ids_and_names_its_bad_lines(tmp_path):
    path = corpus(tmp_path / "corpus.jsonl", 1_000)
    lines = path.read_text().splitlines()
    lines[6] = "{broken"
    lines[7] = lines[8]
    path.write_text("\n".join(lines))
    report = built([tmp_path], tmp_path / "out")
    assert report.passages == 998
    assert [(f.path, f.reason) for f in report.failed] == [
        (f"{path}:7", report.failed[0].reason),
        (f"{path}", "_id e8 is there twice"),
    ]
    (hit,) = Index.open(tmp_path / "out").search("number500", mode=Mode.BM25)
    assert hit.passage_id == "e500"


def test_nothing_ready_makes_no_index(tmp_path):
    (tmp_path / "docs").mkdir()
    report = built([tmp_path / "docs"], tmp_path / "out")
    assert (report.passages, report.ready, report.failed) == (0, [], [])
    assert sorted(os.listdir(tmp_path)) == ["docs"]


def test_an_index_is_not_overwritten(docs, tmp_path):
    built([docs], tmp_path / "out")
    with pytest.raises(RetrievalError, match="index add"):
        built([docs], tmp_path / "out")


def test_resume_adds_what_is_missing(docs, tmp_path):
    built([docs], tmp_path / "out")
    (docs / "new.txt").write_text("The ferry stopped running in 1972.")
    report = built([docs], tmp_path / "out", resume=True)
    assert len(report.ready) == len(TEXTS) + 1
    assert Index.open(tmp_path / "out").search("ferry", mode=Mode.BM25)


def test_add_passes_over_what_is_there(docs, tmp_path):
    built([docs], tmp_path / "out")
    found = find_sources([docs])
    report = add_sources(tmp_path / "out", found, encoder=None, progress=quiet)
    assert len(report.ready) == len(TEXTS)
    assert Index.open(tmp_path / "out").generation == 1


def test_an_unreadable_folder_is_one_line(docs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RetrievalError, match="file"):
        built([docs], tmp_path / "file" / "out")


CHILD = """
import sys
from pathlib import Path
import retrieval.ingest.pipeline
from retrieval.ingest.build import build_index
retrieval.ingest.pipeline.PLAIN_BATCH = 500
build_index([Path(sys.argv[1])], Path(sys.argv[2]), encoder=None, progress=lambda *_: None)
"""


def test_a_killed_build_goes_on(tmp_path):
    source, out = corpus(tmp_path / "corpus.jsonl", 20_000), tmp_path / "out"
    child = subprocess.Popen([sys.executable, "-c", CHILD, source, out])
    unfinished = tmp_path / ".out.building"
    while child.poll() is None and not (unfinished / "manifest.json").exists():
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    assert not out.exists()
    kept = Index.open(unfinished).info()["counts"]["passages"]
    assert 0 < kept < 20_000
    report = built([source], out)
    assert report.passages == 20_000
    assert verify_index(out) == []
    assert not unfinished.exists()
