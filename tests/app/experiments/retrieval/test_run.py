"""Whole runs over a small corpus: what is written, going on after a stop, comparing two."""

import json

import pytest

from app.experiments.report.finished import read_runs
from app.experiments.report.report import as_text, make_report
from app.experiments.retrieval.run import Request, run
from app.experiments.run_folder import RunError
from app.types import OrbweaverError
from retrieval.evaluation.runs import read_run
from retrieval.fusion import parse_fusion
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.search import Search
from retrieval.types import Extracted, Mode

pytestmark = pytest.mark.java

TEXTS = {
    "orchard": "The orchard opened in 1931. Maria Lind planted 400 apple trees on the slope.",
    "bees": "Bees were brought to the valley in 1950 to pollinate the apple trees.",
    "press": "The cider press was built of oak by Tomas Berg in 1931.",
    "flood": "In 1967 the river flooded the valley and took eleven hives.",
}
ASKED = {
    "q1": ("who planted the apple trees?", "orchard"),
    "q2": ("what was built of oak?", "press"),
    "q3": ("the river in the valley", "flood"),
    "q4": ("unheard of words", "bees"),
}


@pytest.fixture
def beir(tmp_path):
    folder = tmp_path / "data"
    (folder / "qrels").mkdir(parents=True)
    corpus = [json.dumps({"_id": id, "title": "", "text": text}) for id, text in TEXTS.items()]
    corpus.insert(2, "{broken")
    queries = [json.dumps({"_id": id, "text": text}) for id, (text, _) in ASKED.items()]
    (folder / "corpus.jsonl").write_text("\n".join(corpus))
    (folder / "queries.jsonl").write_text("\n".join(queries))
    lines = [f"{id}\t{right}\t1\n" for id, (_, right) in ASKED.items()]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


@pytest.fixture
def dpr(tmp_path):
    """Two questions with answers, of which one has a judgement."""
    items = [
        {"question": "when did the orchard open?", "answers": ["1931"]},
        {
            "question": "who built the press?",
            "answers": ["Tomas  BERG"],
            "positive_ctxs": [{"passage_id": "press"}],
        },
    ]
    (tmp_path / "dpr.json").write_text(json.dumps(items))
    return tmp_path / "dpr.json"


def request(data, **options):
    search = options.pop("search", Search(k=3, mode=Mode.BM25))
    return Request(data, search, encoder="none", timed=2, **options)


def quiet(stage, done, total):
    assert 0 <= done <= total, stage


def made(asked, out, resume=False, say=lambda message: None):
    return run(asked, out, resume=resume, report=quiet, say=say)


def test_a_run_folder_says_everything(beir, tmp_path):
    heard = []
    result = made(request(beir), tmp_path / "run", say=heard.append)
    assert result["metrics"]["Success@1"] == 75.0
    assert "R@20" not in result["metrics"]  # only three hits a question were asked for
    assert result["answer_metrics"] == {}
    assert result["questions"] == {"asked": 4, "judged": 4, "with_answers": 0}
    assert len(result["notes"]) == 1
    assert "corpus.jsonl:3: not JSON" in heard[0]
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names >= {
        "settings.json", "environment.json", "metrics.json", "timing.json", "run.trec",
        "results.dpr.json", "per_query.jsonl", "hits.jsonl", "recall.png", "latency.png",
    }  # fmt: skip
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())["settings"]
    assert len(settings["data"]["sha256"]) == 64
    assert (settings["mode"], settings["k"], settings["rerank"]) == ("bm25", 3, None)
    timing = json.loads((tmp_path / "run" / "timing.json").read_text())
    assert len(timing["latency_seconds"]) == 2
    assert timing["latency_ms"]["p50"] <= timing["latency_ms"]["p95"]
    assert read_run(tmp_path / "run" / "run.trec")["q2"][0].passage_id == "press"


def test_answer_strings_are_counted_apart_from_judgements(beir, dpr, tmp_path):
    made(request(beir), tmp_path / "first")
    index = tmp_path / "first" / "index"
    result = made(request(dpr, index=index), tmp_path / "run")
    assert result["questions"] == {"asked": 2, "judged": 1, "with_answers": 2}
    assert set(result["answer_metrics"]) == {"AnswerString@1"}
    assert not set(result["metrics"]) & set(result["answer_metrics"])
    assert result["metrics"]["Success@1"] == result["answer_metrics"]["AnswerString@1"] == 100.0
    first, _ = json.loads((tmp_path / "run" / "results.dpr.json").read_text())
    assert first["ctxs"][0]["has_answer"] is True
    with pytest.raises(OrbweaverError, match="--corpus or --index"):
        made(request(dpr), tmp_path / "other")


def test_a_stopped_run_goes_on_to_the_same_end(beir, tmp_path):
    whole = made(request(beir), tmp_path / "whole")
    folder = tmp_path / "part"
    made(request(beir), folder)
    (folder / "metrics.json").unlink()
    lines = (folder / "hits.jsonl").read_text().splitlines(keepends=True)
    (folder / "hits.jsonl").write_text("".join(lines[:2]) + lines[2][:9])  # killed while writing
    with pytest.raises(RunError, match="--resume"):
        made(request(beir), folder)
    other = request(beir, search=Search(k=2, mode=Mode.BM25))
    with pytest.raises(RunError, match="begun with k 3, not 2"):
        made(other, folder, resume=True)
    result = made(request(beir), folder, resume=True)
    assert json.loads((folder / "timing.json").read_text())["asked"] == 2
    for name in ("run.trec", "per_query.jsonl", "results.dpr.json"):
        assert (folder / name).read_text() == (tmp_path / "whole" / name).read_text()
    assert result["metrics"] == whole["metrics"]
    with pytest.raises(RunError, match="finished"):
        made(request(beir), folder, resume=True)


def test_judgements_of_another_corpus_are_noticed(beir, tmp_path):
    path = tmp_path / "other"
    with IndexWriter(path, None) as writer:
        writer.add("stranger", "x", Extracted("", "Something else.", (), "text/plain"), whole=True)
        writer.commit()
    with pytest.raises(OrbweaverError, match="none of the 4 judged documents, such as bees"):
        made(request(beir, index=path), tmp_path / "run")
    with IndexWriter(path, None) as writer:
        writer.add("bees", "x", Extracted("", TEXTS["bees"], (), "text/plain"), whole=True)
        writer.commit()
    result = made(request(beir, index=path), tmp_path / "run2")
    assert result["notes"] == ["3 of 4 judged documents are not in the index"]


def test_runs_are_compared_question_by_question(beir, dpr, tmp_path):
    made(request(beir), tmp_path / "three")
    one = Search(k=1, mode=Mode.BM25, fusion=parse_fusion("rrf"))
    made(request(beir, search=one, index=tmp_path / "three" / "index"), tmp_path / "one")
    report = make_report(read_runs([tmp_path / "three", tmp_path / "one"]), "Success@1")
    shown = as_text(report)
    assert shown.splitlines()[0] == "| run | corpus.path | k | index.path | Success@1 | ms |"
    assert "one is 0.00 points above three" in shown
    assert [picture.name for picture in report.parts[0].pictures] == ["recall"]
    made(request(dpr, index=tmp_path / "three" / "index"), tmp_path / "dpr")
    with pytest.raises(RunError, match="ran on different data"):
        make_report(read_runs([tmp_path / "three", tmp_path / "dpr"]))


def test_every_fusion_can_be_asked_for(tmp_path, beir):
    made(request(beir), tmp_path / "run")
    index = Index.open(tmp_path / "run" / "index")
    for name in ("convex", "rrf", "sum"):
        (hits,) = Search(k=2, fusion=parse_fusion(name)).find(index, ["oak press"])
        assert hits[0].passage_id == "press"
    index.close()
