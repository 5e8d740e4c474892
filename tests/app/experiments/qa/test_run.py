"""Whole runs over real models, tiny and random: what is read, kept, gone on with and refused."""

import json
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi import Request as HttpRequest

from app.answering.prompt import Reading
from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Sampling
from app.experiments.models.open_answerer import open_answerer
from app.experiments.models.transformers_answerer import TransformersAnswerer
from app.experiments.qa.asking import Condition, ask
from app.experiments.qa.data import QaItem, Text
from app.experiments.qa.prompt import Prompt, QaMode
from app.experiments.qa.recursive import Drafts
from app.experiments.qa.run import Request, run
from retrieval.types import Mode, RetrievalError
from tests.app.in_process import serving
from tests.app.town import BRIDGE, DOCUMENTS

QUESTIONS = [
    ("b1", "When was the Orchard Bridge opened?", "4 May 1911"),
    ("b2", "Who designed the bridge?", "Anna Kern"),
    ("b3", "How long is the main span of the bridge?", "182 metres"),
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three questions in SQuAD's format."""
    qas = [
        {"id": id, "question": text, "answers": [{"text": answer, "answer_start": 0}]}
        for id, text, answer in QUESTIONS
    ]
    article = {"title": "Bridge", "paragraphs": [{"context": BRIDGE, "qas": qas}]}
    path = tmp_path_factory.mktemp("qa") / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": [article]}), "utf-8")
    return path


@pytest.fixture(scope="module")
def town_index(tmp_path_factory):
    """The town's documents, for BM25 alone."""
    from retrieval.ingest.writer import IndexWriter

    folder = tmp_path_factory.mktemp("town") / "index"
    with IndexWriter(folder, None) as writer:
        for document in DOCUMENTS:
            writer.add(document.id, document.name, document.extracted)
        writer.commit()
    return folder


@pytest.fixture(scope="module")
def answerer(model_folder):
    opened = open_answerer(str(model_folder), answer_tokens=6, prompt_tokens=0)
    yield opened
    opened.close()


READING = Reading("Who designed it?", ())


def ran(answerer, request, out, resume=False):
    return run(answerer, request, out, resume=resume, track=lambda what, done, total: None)


def test_passages_from_an_index(answerer, data, town_index, tmp_path):
    request = Request(data, town_index, docs=(0, 2), retriever=Mode.BM25)
    folder, metrics = ran(answerer, request, tmp_path / "run")
    assert metrics["by_docs"].keys() == {"0", "2"}
    assert metrics["by_docs"]["0"]["answer_in_context"] == 0.0
    assert metrics["by_docs"]["2"]["answer_in_context"] == 100.0
    assert metrics["em"] == metrics["by_docs"]["2"]["em"]
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [(row["docs"], row["id"]) for row in rows] == [
        (docs, id) for docs in (0, 2) for id, _, _ in QUESTIONS
    ]
    assert all(len(row["passages"]) == row["docs"] for row in rows)
    assert rows[3]["passages"][0][0].startswith("b" * 64)
    # killed after four questions
    cut = tmp_path / "cut"
    ran(answerer, request, cut)
    (cut / "metrics.json").unlink()
    lines = (cut / "predictions.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "predictions.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:30])
    _, again = ran(answerer, request, cut, resume=True)
    assert again["f1"] == metrics["f1"]
    assert len((cut / "predictions.jsonl").read_bytes().splitlines()) == 6


def test_fixed_numbers_and_budgets_stand_in_one_run(answerer, data, town_index, tmp_path):
    request = Request(
        data,
        town_index,
        docs=(0, 1),
        budgets=(200, 700),
        candidates=5,
        retriever=Mode.BM25,
        drafts=Drafts(2, 1.0),
    )
    folder, metrics = ran(answerer, request, tmp_path / "run")
    assert metrics["by_docs"].keys() == {"0", "1"}
    assert metrics["by_budget"].keys() == {"200", "700"}
    small, large = metrics["by_budget"].values()
    assert small["passages_read"] < large["passages_read"]
    assert small["passages_dropped"] > 0
    rows = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    packed = [row for row in rows if row["budget"]]
    assert [row["docs"] for row in packed] == [None] * 6
    assert all(row["prompt_tokens"] <= row["budget"] for row in packed)
    assert all(len(row["passages"]) == row["read"] for row in packed)
    found = [len(row["passages"]) + len(row["dropped"]) for row in packed]
    assert found[:3] == found[3:]  # the same questions, smaller and larger prompts
    assert metrics["recursive"]["differed"] > 0  # drawn from noise
    assert metrics["recursive"]["extra"]["written_tokens"] > 0
    (folder / "metrics.json").unlink()  # as if killed at the very end
    _, again = ran(answerer, request, folder, resume=True)
    assert again == metrics


def test_a_whole_document_is_read_once(answerer, data, tmp_path):
    for mode in (QaMode.DOCUMENT, QaMode.GOLD):
        folder, metrics = ran(answerer, Request(data, None, mode=mode), tmp_path / mode)
        assert metrics["answer_in_context"] == 100.0
        rows = [json.loads(x) for x in (folder / "predictions.jsonl").read_text().splitlines()]
        assert all(row["cached_tokens"] > 100 for row in rows[1:])


def test_transformers_writes_the_same(answerer, jamba_folder, gpt2_folder):
    """Greedy on the same weights with the paper's prompt; a prompt's tokens never show in it."""
    ours = open_answerer(str(jamba_folder), answer_tokens=6, prompt_tokens=0)
    theirs = TransformersAnswerer(jamba_folder, "theirs", 6)
    item, text = QaItem("1", "Who designed it?", ("Kern",)), Text("Bridge", BRIDGE[:200])
    rows = [ask(each, Prompt.PAPER, item, [text], Condition(docs=1)) for each in (ours, theirs)]
    for each in (ours, theirs):  # drawn alike for one seed
        drawn = [each.answer(Prompt.PAPER, READING, Sampling(1.5, seed)) for seed in (1, 2, 1)]
        assert drawn[0].text == drawn[2].text != drawn[1].text
        assert 0 < drawn[0].written_tokens <= 6
    ours.close()
    assert rows[0].written == rows[1].written
    assert rows[0].prompt_tokens == rows[1].prompt_tokens
    small = open_answerer(str(gpt2_folder), answer_tokens=4, prompt_tokens=0)
    row = ask(
        small, Prompt.PAPER, item, [text, text], Condition(docs=2)
    )  # more than GPT-2 reads here
    assert row.cut
    assert 100 <= row.prompt_tokens <= 156
    with pytest.raises(ExperimentError, match="no chat template for the prompt 'chat'"):
        ran(small, Request(gpt2_folder / "absent", None, prompt=Prompt.CHAT), None)


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"docs": (0, 1)}, ExperimentError, "question b1 comes without passages"),
        ({"docs": (-1,)}, ExperimentError, "numbers of passages"),
        ({"budgets": (9999,)}, ExperimentError, "9999 tokens is more than the 4090"),
        ({"budgets": (600, 9)}, ExperimentError, "b1 alone has .* more than the budget of 9"),
        ({"budgets": (600,), "mode": QaMode.GOLD}, ExperimentError, "not for --mode gold"),
        ({"docs": (0,), "budgets": (600,)}, ExperimentError, "question b1 comes without passages"),
        ({"data": "absent.json"}, ExperimentError, "cannot be read"),
        ({"index": "absent"}, RetrievalError, "absent"),
        ({"index": "town"}, ExperimentError, "has no vectors: .*--retriever bm25"),
    ],
)
def test_what_cannot_be_run_leaves_no_folder(
    answerer, data, town_index, tmp_path, change, error, said
):
    places = {"index": {"absent": tmp_path / "absent", "town": town_index}}
    named = {
        key: places.get(key, {}).get(value, value) if isinstance(value, str) else value
        for key, value in change.items()
    }
    if "data" in named:
        named["data"] = tmp_path / named["data"]
    with pytest.raises(error, match=said):
        ran(answerer, replace(Request(data, None), **named), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_without_gold_passages(answerer, tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "when?", "answer": ["1911"]}\n')
    with pytest.raises(ExperimentError, match="comes without its gold"):
        ran(answerer, Request(path, None, mode=QaMode.GOLD), tmp_path / "run")
    _, metrics = ran(answerer, Request(path, None, docs=(0,)), tmp_path / "closed")
    assert metrics["questions"] == 1


def test_a_server_is_asked_in_every_prompts_words():
    app, seen = FastAPI(), []

    @app.get("/v1/models")
    def models():
        return {"data": [{"id": "tiny"}]}

    @app.post("/v1/{rest:path}")
    async def answer(rest: str, request: HttpRequest):
        seen.append((rest, await request.json()))
        usage = {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}
        usage["completion_tokens"] = 2
        return {"choices": [{"text": " 1911", "message": {"content": "1911"}}], "usage": usage}

    with serving(app) as address:
        remote = open_answerer(f"{address}/v1", answer_tokens=5, prompt_tokens=500)
        found = [remote.answer(prompt, Reading("When?", ())) for prompt in Prompt]
        remote.answer(Prompt.CHAT, Reading("When?", ()), Sampling(0.7, 3))
        remote.close()
    assert [each.text.strip() for each in found] == ["1911"] * 3
    assert (found[0].prompt_tokens, found[0].cached_tokens, found[0].written_tokens) == (9, 4, 2)
    assert (seen[3][1]["temperature"], seen[3][1]["seed"]) == (0.7, 3)
    assert [path for path, _ in seen[:3]] == ["completions", "chat/completions", "chat/completions"]
    assert seen[0][1]["prompt"].startswith("Answer these questions:")
    assert seen[2][1]["documents"] == []
