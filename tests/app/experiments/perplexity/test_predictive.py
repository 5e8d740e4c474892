"""The predictive reranker: its loss by hand, and a tiny one that learns what helps."""

import json
import math

import pytest

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.predictive import Reranker
from app.experiments.perplexity.predictive_training import (
    Training,
    marginal_loss,
    read_run,
    split,
    train,
)
from app.experiments.perplexity.retrieval_file import Candidate, Retrieved

GOOD, BAD = "the bridge was opened", "a library lends books"


@pytest.fixture(scope="module")
def oracle_run(tmp_path_factory):
    """A run in which one text helped always, wherever it ranked."""
    folder = tmp_path_factory.mktemp("oracle")
    records, strides = [], []
    for number in range(60):
        texts = [GOOD, BAD] if number % 2 else [BAD, GOOD]
        docs = [{"id": None, "title": "", "text": text, "score": 1.0} for text in texts]
        records.append(
            {"begin_location": number, "end_location": number + 1, "future": "", "query": "when"}
            | {"retrieved_docs": docs[: 0 if number == 0 else 2]}
        )
        judged = [1.0 if text == GOOD else 4.0 for text in texts] if number else []
        strides.append({"begin": number, "end": number + 1, "judged": judged})
    (folder / "retrieval.json").write_text(json.dumps(records))
    (folder / "strides.jsonl").write_text("".join(json.dumps(s) + "\n" for s in strides))
    (folder / "settings.json").write_text(json.dumps({"settings": {"ranking": "oracle"}}))
    (folder / "metrics.json").write_text("{}")
    return folder


def test_the_marginal_loss_by_hand():
    import torch

    losses = torch.tensor([1.0, 3.0])
    even = marginal_loss(torch.zeros(2), losses)
    assert float(even) == pytest.approx(-math.log((math.exp(-1) + math.exp(-3)) / 2))
    sure = marginal_loss(torch.tensor([50.0, 0.0]), losses)
    assert float(sure) == pytest.approx(1.0)


def test_it_learns_what_helps_and_goes_on_where_it_stopped(bert_folder, oracle_run, tmp_path):
    settings = Training(steps=30, batch_size=8, learning_rate=1e-2, save_every=10)
    losses = {}

    def stop_at_20(step, steps, loss):
        if step == 21:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train([oracle_run], bert_folder, tmp_path / "cut", settings, stop_at_20)
    assert not (tmp_path / "cut" / "reranker.json").exists()
    for name in ("whole", "cut"):
        reached = train(
            [oracle_run],
            bert_folder,
            tmp_path / name,
            settings,
            lambda step, steps, loss, name=name: losses.setdefault(step, {}).update({name: loss}),
        )
        assert reached["strides"] == 6
        assert reached["reranked"] == reached["oracle"] == 1.0
        assert reached["first"] == pytest.approx(2.5)
    assert losses.keys() == set(range(1, 31))
    assert [step for step in losses if "cut" in losses[step]] == list(range(21, 31))
    assert losses[30]["cut"] == pytest.approx(losses[30]["whole"], abs=1e-4)
    reranker = Reranker.open(tmp_path / "cut")
    candidates = tuple(Candidate(None, "", text, 1.0) for text in (BAD, GOOD))
    assert reranker.choose(Retrieved(1, 2, "", "when", candidates)) == 1
    with pytest.raises(ExperimentError, match="finished reranker"):
        train([oracle_run], bert_folder, tmp_path / "cut", settings, stop_at_20)


def test_what_it_cannot_learn_from(oracle_run, tmp_path):
    with pytest.raises(ExperimentError, match="holds no perplexity run"):
        read_run(tmp_path)
    with pytest.raises(ExperimentError, match="too few strides"):
        split([read_run(oracle_run)[:3]])
    (tmp_path / "settings.json").write_text('{"settings": {"ranking": "first"}}')
    for name in ("retrieval.json", "strides.jsonl"):
        (tmp_path / name).write_text((oracle_run / name).read_text())
    with pytest.raises(ExperimentError, match="--ranking oracle"):
        read_run(tmp_path)
    with pytest.raises(ExperimentError, match="holds no reranker"):
        Reranker.open(tmp_path)
