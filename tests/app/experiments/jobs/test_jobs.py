"""Experiments from the page: what one makes of a file, and the shelf that starts and keeps them."""

import io
import json
import re
import time
from zipfile import ZipFile

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.jobs import shelf as shelves
from app.experiments.jobs.child import run_job
from app.experiments.jobs.job import Job, Kind, Progress, Size, State, look, write_job
from app.experiments.jobs.shelf import Shelf
from app.library import NotFound
from retrieval.types import Mode
from tests.app.experiments.conftest import CORPUS
from tests.app.experiments.report.folders import perplexity_run, qa_run

LINES = (
    '{"id": "with a blank", "question": "When do the rooms close on Saturdays?", "answer": "noon"}',
    '{"question": "What was the engineer paid in?", "answers": ["francs", "gold"]}',
    '{"question": "Who sang?", "answers": [], "is_impossible": true}',
)


def job(kind=Kind.FINDING, collection=1, file="asked.jsonl"):
    return Job(kind, collection, "Town", file, Mode.BM25, Size.QUICK, 1.0)


def made(tmp_path, asked, content, number="1"):
    folder = tmp_path / number
    folder.mkdir(parents=True)
    (folder / "upload").write_bytes(content)
    write_job(folder, asked)
    return folder


def finished(shelf_folder, number, run=qa_run, collection=1):
    folder = shelf_folder / str(number)
    folder.mkdir(parents=True)
    run(folder / "run")
    write_job(folder, job(Kind.ANSWERING, collection))
    return folder


@pytest.mark.java
def test_finding_counts_answers_in_the_first_passages(tmp_path, corpus_index):
    folder = made(tmp_path, job(), "\n".join(LINES).encode())
    run_job(folder, corpus_index, None)
    found = look(folder, runs=False)
    assert found.state is State.FINISHED
    assert found.metrics["questions"] == {"asked": 2, "judged": 0, "with_answers": 2}
    assert found.metrics["answer_metrics"]["AnswerString@20"] == 100.0
    assert look(folder, runs=True).progress == Progress("searching", 2, 2)
    assert not any(CORPUS["Hours"][:20] in p.read_text("utf-8", "replace")
                   for p in (folder / "run").iterdir())  # fmt: skip


@pytest.mark.java
def test_questions_are_answered_and_texts_read(tmp_path, corpus_index, model_folder, text_file):
    answering = made(tmp_path, job(Kind.ANSWERING), f"[{LINES[1]}]".encode())
    run_job(answering, corpus_index, str(model_folder))
    metrics = look(answering, runs=False).metrics
    assert metrics["by_docs"].keys() == {"0", "1", "4"}
    reading = made(tmp_path, job(Kind.READING, file="town.txt"), text_file.read_bytes(), "2")
    run_job(reading, corpus_index, str(model_folder))
    assert look(reading, runs=False).metrics["tokens"] > 300


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        (Kind.FINDING, b'{"question": "when?"}', r"asked\.jsonl: line 1 has no field 'answers'"),
        (Kind.FINDING, b"\xff\xfe", r"asked\.jsonl: cannot be read"),
        (Kind.FINDING, LINES[2].encode(), "no question there has an answer"),
        (Kind.ANSWERING, b"[" * 200_000, "nested too deeply"),
        (Kind.READING, b"A short text.", "is too short; it has"),
    ],
)
def test_a_file_that_will_not_do_is_named_as_its_owner_knows_it(
    tmp_path, model_folder, kind, content, said
):
    folder = made(tmp_path, job(kind), content)
    with pytest.raises(ExperimentError):
        run_job(folder, tmp_path / "absent", str(model_folder))
    found = look(folder, runs=False)
    assert found.state is State.FAILED
    assert re.search(said, found.reason), found.reason
    assert str(tmp_path) not in found.reason


def test_one_runs_at_a_time_is_stopped_and_goes_on(tmp_path):
    """In processes of their own; there is no index, so going on ends in a failure that says so."""
    shelf, upload = Shelf(tmp_path / "kept"), tmp_path / "upload"
    upload.write_text("\n".join(LINES))
    number = shelf.start(job(), upload, tmp_path / "absent")
    assert shelf.one(number).state is State.RUNNING
    with pytest.raises(ExperimentError, match="#1 is running: stop it"):
        shelf.start(job(), upload, tmp_path / "absent")
    shelf.stop(number)
    assert shelf.one(number).state is State.STOPPED
    shelf.go_on(number, tmp_path / "absent")
    until = time.monotonic() + 120
    while shelf.one(number).state is State.RUNNING and time.monotonic() < until:
        time.sleep(0.1)
    assert "absent" in shelf.one(number).reason
    slow = Shelf(tmp_path / "slow", seconds=0.1)
    number = slow.start(job(), upload, tmp_path / "absent")
    while slow.one(number).state is State.RUNNING:
        time.sleep(0.1)
    assert "took longer than" in slow.one(number).reason
    slow.close()


def test_what_cannot_be_started_leaves_nothing(tmp_path, monkeypatch):
    shelf, upload = Shelf(tmp_path / "kept"), tmp_path / "upload"
    upload.write_bytes(b"")
    with pytest.raises(ExperimentError, match="is empty"):
        shelf.start(job(), upload, tmp_path)
    upload.write_bytes(b"x" * (shelves.FILE_BYTES + 1))
    with pytest.raises(ExperimentError, match="larger than 8 MB"):
        shelf.start(job(), upload, tmp_path)
    upload.write_bytes(b"x")
    monkeypatch.setattr(shelves, "KEPT", 0)
    with pytest.raises(ExperimentError, match="delete one first"):
        shelf.start(job(), upload, tmp_path)
    assert shelf.all() == []


def test_finished_ones_are_compared_and_taken_along(tmp_path):
    shelf = Shelf(tmp_path)
    finished(tmp_path, 1)
    folder = finished(tmp_path, 12, perplexity_run)
    (folder / "run" / "link").symlink_to("/etc/hostname")
    (tmp_path / "notes").mkdir()
    assert [each.number for each in shelf.all()] == [12, 1]
    assert shelf.finished(1).name == "#1 asked.jsonl"
    with ZipFile(io.BytesIO(shelf.archive(12))) as archive:
        names = set(archive.namelist())
    assert {"experiment-12/metrics.json", "experiment-12/losses.npy"} <= names
    assert "experiment-12/link" not in names
    shelf.erase(12)
    for call in (shelf.one, shelf.finished, shelf.archive):
        with pytest.raises(NotFound):
            call(12)
    made(tmp_path, job(), b"x", "3")
    with pytest.raises(NotFound, match="has not finished"):
        shelf.archive(3)


def test_experiments_go_with_the_documents_they_read(tmp_path):
    shelf = Shelf(tmp_path)
    for number, collection in ((1, 1), (2, 1), (3, 2)):
        finished(tmp_path, number, collection=collection)
    (tmp_path / "2" / "run" / "hits.jsonl").write_text(json.dumps({"hits": [["d" * 63 + "e#0"]]}))
    shelf.forget(1, "d" * 63 + "e")
    assert [each.number for each in shelf.all()] == [3, 1]
    shelf.forget(1)
    assert [each.number for each in shelf.all()] == [3]
