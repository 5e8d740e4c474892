"""Every kind of file that holds questions, and what is wrong with some of them."""

import json

import pytest

from retrieval.evaluation.tasks import read_qrels, read_queries, read_task
from retrieval.ingest.sources import CorpusEntry
from retrieval.types import RetrievalError


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "t", "text": "x"}\n')
    (folder / "queries.jsonl").write_text(
        '{"_id": "1", "text": "asked"}\n{"_id": "2", "text": "not judged"}\n'
    )
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td\t2\n")
    return folder


def test_a_beir_folder(beir):
    task = read_task(beir)
    assert task.entries == (CorpusEntry("d", "t", "x"),)
    assert (task.queries, task.qrels) == ({"1": "asked"}, {"1": {"d": 2}})
    assert (task.answers, task.notes) == ({}, ())
    (beir / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\n2\td\t1\n")
    assert read_task(beir, split="dev").qrels == {"2": {"d": 1}}
    assert read_task(beir, entries=False).entries == ()


def test_other_judgements_and_another_corpus(beir, tmp_path):
    (tmp_path / "trec.qrels").write_text("2 0 d 1\n2 0 e 0\n3 0 d 1\n")
    (tmp_path / "psgs.tsv").write_text("id\ttext\ttitle\n7\twords\tTitle\n")
    task = read_task(beir, qrels=tmp_path / "trec.qrels", corpus=tmp_path / "psgs.tsv")
    assert task.qrels == {"2": {"d": 1, "e": 0}}
    assert task.entries == (CorpusEntry("7", "Title", "words"),)
    assert task.notes == ("1 judged queries have no text: 3",)


@pytest.mark.parametrize(
    ("lines", "where"),
    [
        ("query-id\tcorpus-id\tscore\n1\td\thigh\n", "2: not a judgement"),
        ("1 0 d 1\n1 0 d\n", "2: not a judgement"),
        ("1 0 d 1\n1 0 e 0\n1 0 d 2\n", "3: d has another grade"),
    ],
)
def test_a_bad_judgement_is_named(tmp_path, lines, where):
    path = tmp_path / "qrels.txt"
    path.write_text(lines)
    with pytest.raises(RetrievalError, match=f"qrels.txt:{where}"):
        read_qrels(path)


def test_judgements_may_be_three_columns_or_four(tmp_path):
    path = tmp_path / "qrels"
    path.write_text("query-id\tcorpus-id\tscore\n1\ta b\t2\n2\t0\td\t1\n3 Q0 e -1\n")
    assert read_qrels(path) == {"1": {"a b": 2}, "2": {"d": 1}, "3": {"e": -1}}


def test_judgements_of_other_queries_are_an_error(beir, tmp_path):
    (tmp_path / "q.txt").write_text("x 0 d 1\n")
    with pytest.raises(RetrievalError, match="none of the queries"):
        read_task(beir, qrels=tmp_path / "q.txt")


def test_squad_paragraphs_are_documents_and_answers_are_kept_apart(tmp_path):
    questions = [
        {"id": "q", "question": "What?", "answers": [{"text": "blue", "answer_start": 11}]},
        {"id": "r", "question": "Who?", "answers": []},
    ]
    paragraph = {"context": "The sky is blue.", "qas": questions}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "The_Sky", "paragraphs": [paragraph]}]}))
    task = read_task(path)
    assert task.entries == (CorpusEntry("The_Sky#0", "The Sky", "The sky is blue."),)
    assert task.queries == {"q": "What?", "r": "Who?"}
    assert task.qrels == {"q": {"The_Sky#0": 1}, "r": {"The_Sky#0": 1}}
    assert task.answers == {"q": ("blue",)}


def test_dpr_questions_have_answers_and_maybe_judgements(tmp_path):
    items = [
        {"question": "When?", "answers": ["1931", ""], "positive_ctxs": [{"passage_id": "7"}]},
        {"question": "Where?", "answers": ["Lund"], "positive_ctxs": [{"text": "without an id"}]},
    ]
    path = tmp_path / "dpr.json"
    path.write_text(json.dumps(items))
    task = read_task(path)
    assert task.queries == {"0": "When?", "1": "Where?"}
    assert task.answers == {"0": ("1931",), "1": ("Lund",)}
    assert task.qrels == {"0": {"7": 1}}
    path.write_text(json.dumps([*items, {"question": "No answers?"}]))
    with pytest.raises(RetrievalError, match="item 2: no question with answers"):
        read_task(path)


def test_plain_queries_need_judgements(tmp_path):
    (tmp_path / "topics.tsv").write_text("1\twhere is it\n2\twhen was it\n")
    (tmp_path / "qrels").write_text("1 0 d 1\n")
    with pytest.raises(RetrievalError, match="--qrels"):
        read_task(tmp_path / "topics.tsv")
    task = read_task(tmp_path / "topics.tsv", qrels=tmp_path / "qrels")
    assert (task.queries, task.entries) == ({"1": "where is it"}, ())


@pytest.mark.parametrize(
    ("name", "lines", "where"),
    [
        ("q.jsonl", '{"_id": "1", "text": "x"}\n\n{"_id": "2"}\n', "3: no query with _id and text"),
        (
            "q.jsonl",
            '{"_id": "1", "text": "x"}\n{"_id": "1", "text": "y"}\n',
            "2: query 1 is there",
        ),
        ("q.tsv", "1\tx\nno tab\n", "2: no query: an id, a TAB"),
    ],
)
def test_a_bad_query_is_named(tmp_path, name, lines, where):
    (tmp_path / name).write_text(lines)
    with pytest.raises(RetrievalError, match=f"{name}:{where}"):
        read_queries(tmp_path / name)


def test_files_that_are_not_there_or_not_what_they_seem(tmp_path):
    with pytest.raises(RetrievalError, match="nothing"):
        read_queries(tmp_path / "nothing")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(RetrievalError, match="not JSON"):
        read_task(tmp_path / "x.json")
    (tmp_path / "x.json").write_text('{"questions": []}')
    with pytest.raises(RetrievalError, match="not a SQuAD question file"):
        read_task(tmp_path / "x.json")
