"""What retrieval does with input that is wrong: one clear error, or a result that is defined."""

import json
import sqlite3

import numpy as np
import pytest

from retrieval.dense import DenseSearcher
from retrieval.encoders.encoder import Encoder
from retrieval.evaluation.tasks import read_task
from retrieval.fusion import parse_fusion
from retrieval.index import Index
from retrieval.ingest.build import build_index
from retrieval.ingest.writer import IndexWriter
from retrieval.search import Search
from retrieval.types import Mode, NotAnIndex, RetrievalError
from tests.retrieval.conftest import TEXTS, extracted

pytestmark = pytest.mark.java


def quiet(stage, done, total):
    assert 0 <= done <= total, stage


def corpus(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def entry(id, text="words"):
    return json.dumps({"_id": id, "title": "", "text": text})


def test_an_empty_corpus_makes_no_index_and_no_task(tmp_path):
    source = corpus(tmp_path / "corpus.jsonl", [])
    report = build_index([source], tmp_path / "out", encoder=None, progress=quiet)
    assert (report.passages, report.ready, report.failed) == (0, [], [])
    assert not (tmp_path / "out").exists()
    (tmp_path / "queries.tsv").write_text("1\tasked\n")
    (tmp_path / "qrels").write_text("1 0 d 1\n")
    with pytest.raises(RetrievalError, match="holds no documents"):
        read_task(tmp_path / "queries.tsv", qrels=tmp_path / "qrels", corpus=source)


@pytest.mark.parametrize("fusion", ["convex", "rrf", "sum"])
@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("", 0),
        (" \t\n", 0),
        ("apple trees", 4),  # k is far above the four passages there are
        ("the of and a", 4),  # stop words alone: BM25 is silent, the vectors are not
        ("東京はどこですか", 4),  # a language that no passage is written in
        ("x" * 100_000, 4),
        (" ".join(f"word{n}" for n in range(11_000)), 4),  # 100,000 characters, no word twice
    ],
)
def test_odd_questions_have_a_defined_result(small_index, encoder, question, found, fusion):
    index = Index.open(small_index, encoder)
    search = Search(k=10_000, fusion=parse_fusion(fusion))
    (hits,) = search.find(index, [question])
    assert len(hits) == found
    assert len({hit.passage_id for hit in hits}) == found
    assert search.find(index, [question]) == [hits]
    index.close()


@pytest.mark.parametrize(
    ("text", "question"),
    [
        ("図書館は午前九時に開く。", "図書館"),
        ("Библиотека открывается в девять часов утра.", "библиотека утра"),
        ("المكتبة تفتح في التاسعة صباحا", "المكتبة"),
    ],
)
def test_passages_in_any_language_are_found_by_their_own_words(tmp_path, text, question):
    with IndexWriter(tmp_path / "index", None) as writer:
        writer.add("other", "other.txt", extracted(TEXTS["bees"]))
        writer.add("right", "right.txt", extracted(text))
        writer.commit()
    index = Index.open(tmp_path / "index")
    assert [hit.passage_id for hit in index.search(question, mode=Mode.BM25)] == ["right#0"]
    index.close()


def bad_corpus(tmp_path):
    lines = [entry(f"e{n}") for n in range(1, 1001)]
    lines[6] = '{"_id": "e7", "text": '
    lines[99] = entry("e1")
    lines[499] = json.dumps({"title": "no id", "text": "x"})
    lines[500] = json.dumps({"_id": "e501"})
    return corpus(tmp_path / "corpus.jsonl", lines)


def test_bad_lines_are_named_and_counted_and_the_rest_goes_on(tmp_path):
    source = bad_corpus(tmp_path)
    report = build_index([source], tmp_path / "out", encoder=None, progress=quiet)
    assert report.passages == 996
    assert [(failure.path, failure.reason.split(":")[0]) for failure in report.failed] == [
        (f"{source}:7", "not JSON"),
        (str(source), "_id e1 is there twice"),
        (f"{source}:500", "no _id"),
        (f"{source}:501", "_id e501"),
    ]


def test_or_the_first_one_stops_everything(tmp_path):
    source = bad_corpus(tmp_path)
    with pytest.raises(RetrievalError, match=r"corpus.jsonl:7: not JSON"):
        build_index([source], tmp_path / "out", encoder=None, progress=quiet, strict=True)
    assert not (tmp_path / "out").exists()


def test_an_evaluation_says_what_it_left_out_or_stops(tmp_path):
    bad_corpus(tmp_path)
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "asked"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\te2\t1\n")
    task = read_task(tmp_path)
    assert len(task.entries) == 996
    assert [note.split(": ")[1].rsplit("/")[-1] for note in task.notes] == [
        "corpus.jsonl:7", "corpus.jsonl", "corpus.jsonl:500", "corpus.jsonl:501",
    ]  # fmt: skip
    with pytest.raises(RetrievalError, match=r"corpus.jsonl:7: not JSON"):
        read_task(tmp_path, strict=True)


@pytest.mark.parametrize(
    "vectors",
    [np.full((1, 384), np.nan, np.float32), np.zeros((1, 4), np.float32)],
    ids=["no numbers", "wrong dimension"],
)
def test_vectors_that_cannot_be_are_refused(small_index, encoder, monkeypatch, vectors):
    broken = Encoder(encoder.id, encoder.folder)
    index = Index.open(small_index, broken)
    monkeypatch.setattr(broken._loaded(), "encode_query", lambda *_, **__: vectors)
    with pytest.raises(RetrievalError, match="no numbers; expected width 384"):
        index.search("apple trees", mode=Mode.DENSE)
    assert index.search("apple trees", mode=Mode.BM25)
    index.close()


def test_no_vectors_and_no_queries_find_nothing(tmp_path):
    searcher = DenseSearcher(tmp_path, [], {})
    assert searcher.search(np.zeros((2, 8), np.float32), 5) == [[], []]
    assert searcher.search(np.zeros((0, 8), np.float32), 5) == []


def test_folders_of_other_programs_are_no_index(tmp_path):
    (tmp_path / "lucene").mkdir()
    (tmp_path / "lucene" / "segments_1").write_bytes(b"Lucene")
    with pytest.raises(NotAnIndex, match="index build"):
        Index.open(tmp_path / "lucene")
    (tmp_path / "alien").mkdir()
    connection = sqlite3.connect(tmp_path / "alien" / "passages.db")
    connection.execute("PRAGMA user_version = 1")
    connection.execute("CREATE TABLE passages (id TEXT)")
    connection.close()
    with pytest.raises(NotAnIndex, match="another program's"):
        Index.open(tmp_path / "alien")
    (tmp_path / "alien" / "passages.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(RetrievalError, match="not a database"):
        Index.open(tmp_path / "alien")
    with pytest.raises(NotAnIndex):
        Index.open(tmp_path / "nowhere")
