"""A folder and an index made the same: by content, and again after a stop."""

import hashlib
from pathlib import Path

import pytest

from retrieval.index import Index
from retrieval.ingest.build import build_index
from retrieval.ingest.pipeline import Failure
from retrieval.ingest.sources import FileSource
from retrieval.ingest.sync import Renamed, compare, plan_sync, report_of, sync_folder
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import Mode, NotAnIndex, RetrievalError
from tests.retrieval.conftest import TEXTS


def quiet(stage, done, total):
    assert 0 <= done <= total, stage


def file(name):
    return FileSource(Path("docs") / name, name)


def found(**names):
    """Files by digest; several names of one are separated by blanks."""
    return {digest: [file(name) for name in named.split()] for digest, named in names.items()}


def test_files_are_compared_by_content():
    stored = {"1": "same.txt", "2": "old.txt", "3": "changed.txt", "4": "gone.txt"}
    plan = compare(
        stored, found(a="changed.txt", b="new.txt", **{"1": "same.txt", "2": "x.txt"}), {}
    )
    assert plan.added == (file("new.txt"),)
    assert plan.changed == (FileSource(Path("docs/changed.txt"), "changed.txt", ("3",)),)
    assert plan.renamed == (Renamed("2", "old.txt", file("x.txt")),)
    assert plan.removed == {"4": "gone.txt"}
    assert plan.unchanged == 1
    assert not plan.empty


def test_nothing_to_do():
    assert compare({}, {}, {}).empty
    assert compare({"1": "a.txt"}, found(**{"1": "a.txt"}), {}).empty
    assert compare({"1": "a.txt"}, found(**{"1": "b.txt a.txt"}), {}).empty  # a copy beside it


def test_names_that_change_places():
    plan = compare({"1": "a.txt", "2": "b.txt"}, found(**{"1": "b.txt", "2": "a.txt"}), {})
    assert {(renamed.old, renamed.file.name) for renamed in plan.renamed} == {
        ("a.txt", "b.txt"), ("b.txt", "a.txt"),
    }  # fmt: skip
    assert not plan.added + plan.changed
    assert not plan.removed


def test_a_move_keeps_the_title_and_another_name_does_not():
    (moved,) = compare({"1": "a/x.txt"}, found(**{"1": "b/x.txt"}), {}).renamed
    (named,) = compare({"1": "a/x.txt"}, found(**{"1": "a/y.txt"}), {}).renamed
    assert moved.keeps_title
    assert not named.keeps_title


def test_two_documents_of_one_name_become_its_file():
    plan = compare({"1": "a.txt", "2": "a.txt"}, found(new="a.txt"), {})
    assert [source.replaces for source in plan.changed] == [("1", "2")]
    plan = compare({"1": "a.txt", "2": "a.txt"}, found(**{"1": "a.txt"}), {})
    assert plan.removed == {"2": "a.txt"}


def test_two_files_may_change_into_the_same():
    plan = compare({"1": "a.txt", "2": "b.txt"}, found(new="a.txt b.txt"), {})
    assert [source.replaces for source in plan.changed] == [("1",), ("2",)]
    assert not plan.removed


def test_what_cannot_be_opened_stays():
    failure = Failure("docs/a.txt", "Permission denied")
    plan = compare({"1": "a.txt"}, {}, {"a.txt": failure})
    assert plan.empty
    assert plan.unread == {"a.txt": failure}


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


@pytest.fixture
def index(docs, tmp_path):
    build_index([docs], tmp_path / "index", encoder=None, progress=quiet)
    return tmp_path / "index"


def synced(index, docs, **options):
    return sync_folder(index, docs, encoder=None, progress=quiet, **options)


def texts(index):
    opened = Index.open(index)
    found = {document.name: opened.text(document.id) for document in opened.documents()}
    opened.close()
    return found


def change(docs):
    (docs / "bees.txt").write_text("No bee was seen that year.")
    (docs / "flood.txt").unlink()
    (docs / "later").mkdir()
    (docs / "orchard.txt").rename(docs / "later" / "orchard.txt")
    (docs / "press.txt").rename(docs / "mill.txt")
    (docs / "cat.txt").write_text("The miller's cat slept.")


@pytest.mark.java
def test_an_index_follows_its_folder(index, docs):
    change(docs)
    planned = report_of(index, plan_sync(index, docs, quiet))
    assert planned.added == ["cat.txt"]
    assert planned.changed == ["bees.txt"]
    assert sorted(planned.renamed) == [
        ("orchard.txt", "later/orchard.txt"), ("press.txt", "mill.txt"),
    ]  # fmt: skip
    assert (planned.removed, planned.unchanged, planned.failed) == (["flood.txt"], 0, [])
    assert sorted(texts(index)) == sorted(f"{name}.txt" for name in TEXTS)  # planning did nothing

    done = synced(index, docs)
    assert (done.added, done.changed, done.removed) == (["cat.txt"], ["bees.txt"], ["flood.txt"])
    assert texts(index) == {
        path.relative_to(docs).as_posix(): path.read_text() for path in docs.rglob("*.txt")
    }
    assert verify_index(index) == []
    opened = Index.open(index)
    titles = {document.name: document.title for document in opened.documents()}
    assert (titles["mill.txt"], titles["later/orchard.txt"]) == ("mill", "orchard")
    assert opened.search("mill", mode=Mode.BM25)  # by its new title
    assert opened.search("flood", mode=Mode.BM25, documents=[digest(TEXTS["flood"])]) == []
    generation = opened.generation
    opened.close()
    assert plan_sync(index, docs, quiet).empty
    assert synced(index, docs).unchanged == len(TEXTS)
    assert Store.open(index).generation == generation


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.java
def test_a_stopped_run_is_given_again(index, docs, monkeypatch):
    monkeypatch.setattr("retrieval.ingest.pipeline.PLAIN_BATCH", 1)
    change(docs)

    def stop(stage, done, total):
        if stage == "reading" and done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync_folder(index, docs, encoder=None, progress=stop)
    assert verify_index(index) == []
    assert not plan_sync(index, docs, quiet).empty
    synced(index, docs)
    assert plan_sync(index, docs, quiet).empty
    assert sorted(texts(index)) == [
        "bees.txt", "cat.txt", "later/orchard.txt", "mill.txt",
    ]  # fmt: skip
    assert verify_index(index) == []


@pytest.mark.java
def test_a_changed_file_that_cannot_be_read_keeps_its_old_document(index, docs):
    (docs / "bees.txt").write_text("")
    report = synced(index, docs)
    assert [Path(failure.path).name for failure in report.failed] == ["bees.txt"]
    assert report.changed == []
    assert texts(index)["bees.txt"] == TEXTS["bees"]
    with pytest.raises(RetrievalError, match=r"bees\.txt"):
        synced(index, docs, strict=True)


@pytest.mark.java
def test_folders_that_are_not_meant_are_refused(index, docs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RetrievalError, match="right folder"):
        synced(index, tmp_path / "empty")
    with pytest.raises(RetrievalError, match="no such folder"):
        synced(index, tmp_path / "nowhere")
    with pytest.raises(RetrievalError, match="lies in"):
        synced(index, tmp_path)
    with pytest.raises(NotAnIndex):
        synced(tmp_path / "none", docs)
    (docs / "corpus.jsonl").write_text('{"_id": "1", "text": "words"}\n')
    with pytest.raises(RetrievalError, match="is a corpus"):
        synced(index, docs)
    assert sorted(texts(index)) == sorted(f"{name}.txt" for name in TEXTS)


@pytest.mark.java
def test_entries_of_a_corpus_stay(docs, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"_id": "entry", "text": "An entry of a corpus."}\n')
    out = tmp_path / "index"
    build_index([docs, corpus], out, encoder=None, progress=quiet)
    assert plan_sync(out, docs, quiet).empty
    (docs / "bees.txt").unlink()
    assert synced(out, docs).removed == ["bees.txt"]
    assert "entry" in texts(out)
