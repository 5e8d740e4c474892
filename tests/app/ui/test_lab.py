"""The Experiments tab over a real library: what is shown, refused, compared and deleted."""

import io
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient

from app.experiments.jobs.job import Job, Kind, Size, write_failure, write_job
from app.library import Library, State
from app.serving.security import access_for
from app.serving.server import build_app
from app.serving.service import Service
from app.settings import load_settings
from app.ui import experiments
from app.ui.lab import SAME, Lab
from app.ui.place import Place
from retrieval.types import Mode
from tests.app.experiments.report.folders import perplexity_run, qa_run

HOSTILE = "<img src=x onerror=alert(1)>.json"


@pytest.fixture
def library(tmp_path):
    return Library.open(tmp_path / "home")


@pytest.fixture
def service(library):
    return Service(load_settings(home=library.home), library)


@pytest.fixture
def lab(service):
    return Lab(service)


def shelved(library, number, kind=Kind.ANSWERING, run=None):
    folder = library.home / "experiments" / str(number)
    folder.mkdir(parents=True)
    if run is not None:
        run(folder / "run")
    write_job(folder, Job(kind, 1, "Town <b>", HOSTILE, Mode.BM25, Size.QUICK, 1.0))
    return folder


def test_experiments_are_listed_with_what_came_out(lab, library):
    assert "No experiments yet" in lab.arrive().board
    shelved(library, 1, run=qa_run)
    shelved(library, 2, Kind.READING, run=perplexity_run)
    write_failure(shelved(library, 3), "<script>")
    shelved(library, 4)
    board, drawn = lab.refresh("")
    assert "in 40 answers: 20 % from memory, 80 % after 4 passages" in board
    assert "% less surprising with passages" in board
    assert "&lt;script&gt;" in board
    assert "&lt;img src=x" in board
    assert "Town &lt;b&gt;" in board
    assert "<img" not in board
    assert board.count('data-tick="experiment"') == 2
    assert board.count(">Go on</button>") == 1
    assert lab.refresh(drawn) == (SAME, SAME)


def test_finished_ones_are_compared_on_the_page(lab, library):
    shelved(library, 1, run=qa_run)
    shelved(library, 2, run=qa_run)
    shelved(library, 3)
    shown = lab.act({"action": "compare", "chosen": ["2", "1", "x"]}).comparison
    assert "run=1&amp;run=2" in shown
    assert "#1 &lt;img" in shown
    assert 'src="data:image/png;base64,' in shown
    assert "has not finished" in lab.act({"action": "compare", "chosen": ["3"]}).notes
    assert "tick the finished" in lab.act({"action": "compare", "chosen": []}).notes
    many = [str(number) for number in range(99)]
    assert "at most 12" in lab.act({"action": "compare", "chosen": many}).notes
    assert lab.act({"action": "close-report"}).comparison == ""


def test_a_finished_one_is_downloaded_behind_the_guard(library, service):
    shelved(library, 1, run=qa_run)
    shelved(library, 2)
    app = build_app(service, access_for("127.0.0.1", secret="long password"))
    stranger = TestClient(app, "http://127.0.0.1")
    assert stranger.get("/experiments/1.zip").status_code == 401
    bearer = {"Authorization": "Bearer long password"}
    client = TestClient(app, "http://127.0.0.1", headers=bearer)
    packed = client.get("/experiments/1.zip")
    with ZipFile(io.BytesIO(packed.content)) as archive:
        assert "experiment-1/predictions.jsonl" in archive.namelist()
    report = client.get("/experiments/report.html?run=1")
    assert report.headers["content-disposition"].startswith("attachment")
    assert report.text.startswith("<!doctype html>")
    assert client.get("/experiments/2.zip").status_code == 404
    assert client.get("/experiments/99.zip").status_code == 404
    assert client.get("/experiments/report.html").status_code == 400


def test_what_cannot_be_done_is_said(lab, library, tmp_path):
    start = ("finding", None, "hybrid", "quick")
    assert "no documents to search" in lab.start(Place(), *start).notes
    shelf = Place(library.create_collection("Shelf").id)
    assert "no documents to search" in lab.start(shelf, *start).notes
    document = tmp_path / "a.txt"
    document.write_text("words")
    row = library.add_file(shelf.collection, "a.txt", document)
    for state in (State.PARSING, State.EMBEDDING, State.READY):
        library.advance(row.id, state)
    assert "add a file first" in lab.start(shelf, *start).notes
    (tmp_path / HOSTILE).write_bytes(b"")
    empty = lab.start(shelf, "finding", str(tmp_path / HOSTILE), "hybrid", "quick").notes
    assert "&lt;img src=x onerror=alert(1)&gt;.json: is empty" in empty
    assert "there is no experiment 7" in lab.act({"action": "go-on", "id": "7"}).notes
    assert "not there any more" in lab.act({"action": "stop-experiment", "id": "../1"}).notes


def test_a_deleted_experiment_and_those_of_a_deleted_collection_are_gone(lab, library, service):
    collection = library.create_collection("Shelf").id
    for number in (1, 2):
        shelved(library, number, run=qa_run)
    assert lab.act({"action": "delete-experiment", "id": "1"}).board.count("<li") == 1
    service.delete_collection(collection)
    assert "No experiments yet" in lab.arrive().board


def test_each_kind_says_what_it_tells_and_takes(lab):
    assert "known answers" in lab.hint("finding")
    assert "known answers" not in lab.hint("reading")
    assert "sent to model.example" in experiments.hint(Kind.ANSWERING, "model.example")
