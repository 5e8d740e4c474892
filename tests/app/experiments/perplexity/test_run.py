"""A whole run by the command line's function: folder, figures, going on, refusals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from app.experiments.errors import ExperimentError
from app.experiments.models.open_scorer import open_scorer
from app.experiments.perplexity.predictive_training import Training, train
from app.experiments.perplexity.run import Request, run
from app.experiments.perplexity.strides import Ranking, Setup
from app.experiments.run_folder import RunError
from app.models.model_types import ModelError
from retrieval.types import Mode, RetrievalError
from tests.app.experiments.conftest import TEXT
from tests.app.experiments.official import Model, paper_losses

SETUP = Setup(window=64, stride=8, doc_tokens=16, query_tokens=16, rank_tokens=8)


@pytest.fixture(scope="module")
def scorer(jamba_folder):
    return open_scorer(str(jamba_folder))


@pytest.fixture
def request_(text_file, corpus_index):
    return Request(text_file, corpus_index, None, SETUP, max_tokens=240, candidates=3)


def ran(scorer, request, out, resume=False):
    return run(scorer, request, out, resume=resume, track=lambda what, done, total: None)


def test_a_run_writes_what_it_found_and_what_came_out(scorer, request_, tmp_path, jamba_folder):
    folder, metrics = ran(scorer, request_, tmp_path / "run")
    written = {path.name for path in folder.iterdir()}
    assert written >= {"settings.json", "environment.json", "metrics.json", "timing.json"}
    assert json.loads((folder / "refused.json").read_text()) == []
    records = json.loads((folder / "retrieval.json").read_text("utf-8"))
    model = Model.load(jamba_folder)
    ids = model.encode(TEXT)[:240]
    sizes = {"window": 64, "stride": 8, "doc_tokens": 16}
    theirs, _ = paper_losses(model, ids, records, **sizes)
    assert metrics["token_perplexity"] == pytest.approx(math.exp(theirs.sum() / 240), abs=1e-3)
    bare, _ = paper_losses(model, ids, None, **sizes)
    words = scorer.decode(ids.tolist()).count(" ")
    without = metrics["without_retrieval"]
    assert without["token_perplexity"] == pytest.approx(math.exp(bare.sum() / 240), abs=1e-3)
    assert without["word_perplexity"] == pytest.approx(math.exp(bare.sum() / words), rel=1e-4)
    low, high = metrics["intervals"]["token_perplexity"]
    assert low <= metrics["token_perplexity"] <= high
    losses = np.load(folder / "losses.npy")
    assert losses.shape == (2, 240)
    assert np.isnan(losses).sum() == 2  # nothing stands before the first token
    np.testing.assert_allclose(losses[0, 1:], theirs, atol=2e-4)
    assert json.loads((folder / "metrics.json").read_text()) == json.loads(json.dumps(metrics))


def test_a_run_cut_short_goes_on_to_the_same_figures(scorer, request_, tmp_path):
    request = replace(request_, ranking=Ranking.RANDOM)
    folder, metrics = ran(scorer, request, tmp_path / "whole")
    cut = tmp_path / "cut"
    ran(scorer, request, cut)
    (cut / "metrics.json").unlink()
    lines = (cut / "strides.jsonl").read_bytes().splitlines(keepends=True)
    (cut / "strides.jsonl").write_bytes(b"".join(lines[:9]) + lines[9][:20])
    with pytest.raises(RunError, match="--resume"):
        ran(scorer, request, cut)
    with pytest.raises(RunError, match="seed 0, not 1"):
        ran(scorer, replace(request, seed=1), cut, resume=True)
    _, again = ran(scorer, request, cut, resume=True)
    assert again["token_perplexity"] == pytest.approx(metrics["token_perplexity"], rel=1e-6)
    for name in ("mean_rank", "strides", "passages"):
        assert again[name] == metrics[name]
    timing = json.loads((cut / "timing.json").read_text())
    assert 0 < timing["strides"] < metrics["strides"]
    assert timing["finished"].endswith("Z")
    assert (cut / "strides.jsonl").read_bytes().splitlines()[:9] == [x.strip() for x in lines[:9]]
    with pytest.raises(RunError, match="finished run"):
        ran(scorer, request, folder, resume=True)


def test_the_retrieval_file_of_a_run_serves_another(scorer, request_, tmp_path):
    folder, metrics = ran(scorer, replace(request_, ranking=Ranking.LM), tmp_path / "one")
    again = replace(
        request_, index=None, retrieved=folder / "retrieval.json", ranking=Ranking.ORACLE
    )
    _, oracle = ran(scorer, again, tmp_path / "two")
    assert oracle["token_perplexity"] < metrics["token_perplexity"]
    assert oracle["without_retrieval"] == metrics["without_retrieval"]
    assert oracle["passages"]["suspect"] == 0


def test_a_reranker_learns_from_an_oracle_run(scorer, request_, tmp_path, bert_folder):
    oracle, bound = ran(scorer, replace(request_, ranking=Ranking.ORACLE), tmp_path / "oracle")
    settings = Training(steps=2, batch_size=2)
    train([oracle], bert_folder, tmp_path / "reranker", settings, lambda *done: None)
    request = replace(request_, ranking=Ranking.PREDICTIVE, reranker=tmp_path / "reranker")
    _, metrics = ran(scorer, request, tmp_path / "predictive")
    assert metrics["token_perplexity"] > bound["token_perplexity"]
    assert metrics["without_retrieval"] == bound["without_retrieval"]


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"setup": Setup()}, ExperimentError, "tokens, and nothing is retrieved"),
        ({"index": None}, ExperimentError, "either --index or --retrieved"),
        ({"ranking": Ranking.PREDICTIVE}, ExperimentError, "--reranker go together"),
        ({"retriever": Mode.HYBRID}, ExperimentError, "has no vectors: .*--retriever bm25"),
        ({"forbidden": "absent"}, ExperimentError, "absent: cannot be read as a list of titles"),
        ({"text": "absent"}, ExperimentError, "absent: cannot be read as UTF-8"),
        ({"index": "absent"}, RetrievalError, "absent"),
    ],
)
def test_what_cannot_be_run_leaves_no_folder(scorer, request_, tmp_path, change, error, said):
    is_path = {"index", "text", "forbidden"}
    paths = {key: tmp_path / v if key in is_path and v else v for key, v in change.items()}
    with pytest.raises(error, match=said):
        ran(scorer, replace(request_, **paths), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_model_that_is_none_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="says of no model"):
        open_scorer(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="causal language model"):
        open_scorer(str(tmp_path))
    with pytest.raises(ModelError, match="for a server"):
        open_scorer(None, tokenizer=tmp_path)
