"""Perplexity against the plain loop over transformers, on the same weights and passages."""

import json
import math

import numpy as np
import pytest

from app.experiments.errors import ExperimentError
from app.experiments.models.open_scorer import open_scorer
from app.experiments.perplexity.evaluation import Evaluation
from app.experiments.perplexity.retrieval_file import Candidate, Retrieved
from app.experiments.perplexity.strides import Layout, Ranking, Setup, plan
from tests.app.experiments.conftest import CORPUS, TEXT
from tests.app.experiments.official import Model, paper_losses, prepended_losses

PAPER = Setup(window=64, stride=4, doc_tokens=20, query_tokens=8, rank_tokens=8)
PREPEND = Setup(Layout.PREPEND, window=64, stride=4, doc_tokens=20, rank_tokens=8, step=32)
FOLDERS = ("gpt2_folder", "jamba_folder")


def found_for(strides):
    """Passages for each stride, in an order that turns with it; a few strides have none."""
    texts = [Candidate(name, name, text, 1.0) for name, text in CORPUS.items()]
    return [
        Retrieved(s.begin, s.end, "", "", () if n % 9 == 5 else tuple(np.roll(texts, -(n // 3))))
        if s.begin
        else Retrieved(s.begin, s.end, "", "", ())
        for n, s in enumerate(strides)
    ]


def as_records(found):
    return [
        {"retrieved_docs": [{"title": c.title, "text": c.text} for c in each.candidates]}
        for each in found
    ]


def evaluated(folder, setup, ranking=Ranking.FIRST, length=200):
    """Our scores of the text's first tokens, with what they were given."""
    scorer = open_scorer(str(folder))
    ids = scorer.encode(TEXT)[:length]
    strides = plan(len(ids), setup)
    found = found_for(strides)
    evaluation = Evaluation(scorer, ids, setup, ranking, lambda found: 0)
    scored = [each for unit in evaluation.units(strides, found) for each in unit]
    return ids, strides, found, scored, evaluation


def joined(scored, name):
    return np.concatenate([np.array(getattr(each, name)) for each in scored])


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("ranking", [Ranking.FIRST, Ranking.LM, Ranking.ORACLE])
def test_the_papers_layout_gives_the_scripts_losses(name, ranking, request):
    folder = request.getfixturevalue(name)
    length = 122 if ranking is Ranking.FIRST else 94  # the last stride is a short one
    ids, _, found, scored, _ = evaluated(folder, PAPER, ranking, length)
    model = Model.load(folder)
    tokens = model.encode(TEXT)[:length]
    assert tokens.tolist() == ids
    sizes = {"window": 64, "stride": 4, "doc_tokens": 20, "ranked": 8}
    theirs, chosen = paper_losses(model, tokens, as_records(found), ranking=ranking, **sizes)
    assert [each.chosen for each in scored] == chosen
    np.testing.assert_allclose(joined(scored, "losses"), theirs, atol=2e-4)
    bare, _ = paper_losses(model, tokens, None, **sizes)
    np.testing.assert_allclose(joined(scored, "without"), bare, atol=2e-4)
    perplexities = [
        math.exp(losses.sum() / length) for losses in (joined(scored, "losses"), theirs)
    ]
    assert perplexities[0] == pytest.approx(perplexities[1], rel=1e-5)


@pytest.mark.parametrize("name", FOLDERS)
def test_prepended_passages_are_read_once_and_score_the_same(name, request):
    folder = request.getfixturevalue(name)
    _, strides, found, scored, evaluation = evaluated(folder, PREPEND, length=120)
    model = Model.load(folder)
    tokens = model.encode(TEXT)[:120]
    empty = tokens[:0]
    passages = [
        model.encode(each.candidates[0].read)[:20] if each.candidates else empty for each in found
    ]
    ours = joined(scored, "losses")
    np.testing.assert_allclose(ours, prepended_losses(model, tokens, strides, passages), atol=2e-4)
    bare = prepended_losses(model, tokens, strides, [empty] * len(strides))
    np.testing.assert_allclose(joined(scored, "without"), bare, atol=2e-4)
    one_by_one = sum(s.end - s.window + 20 for s in strides)
    assert evaluation.tokens_read < one_by_one / 1.5  # five passages turn; both runs are counted


def test_a_prepended_passage_is_chosen_by_the_prefix(jamba_folder):
    _, strides, found, scored, _ = evaluated(jamba_folder, PREPEND, Ranking.LM, length=120)
    model = Model.load(jamba_folder)
    tokens = model.encode(TEXT)[:120]
    stride, retrieved, ours = strides[20], found[20], scored[20]
    import torch

    sums = []
    for candidate in retrieved.candidates:
        read = torch.cat([model.encode(candidate.read)[:20], tokens[stride.window : stride.end]])
        sums.append(float(model.losses(read)[-12:-4].sum()))
    assert ours.chosen == int(np.argmin(sums))


def test_a_model_that_reads_less_than_asked_is_refused(gpt2_folder):
    scorer = open_scorer(str(gpt2_folder))
    with pytest.raises(ExperimentError, match="reads 160 tokens at once; this run needs 1024"):
        Evaluation(scorer, [1, 2], Setup(), Ranking.FIRST, lambda found: 0)


def test_passages_get_no_tokens_that_the_text_does_not_get(gpt2_folder, tmp_path):
    """The paper's script begins passages, and only them, with the tokenizer's start token."""
    import shutil

    folder = shutil.copytree(gpt2_folder, tmp_path / "model")
    raw = json.loads((folder / "tokenizer.json").read_text())
    start = {"SpecialToken": {"id": "<|startoftext|>", "type_id": 0}}
    raw["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [start, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
        "special_tokens": {
            "<|startoftext|>": {"id": "<|startoftext|>", "ids": [1], "tokens": ["<|startoftext|>"]}
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps(raw))
    assert Model.load(folder).tokenizer("bridge").input_ids[0] == 1
    assert open_scorer(str(folder)).encode("bridge") == open_scorer(str(gpt2_folder)).encode(
        "bridge"
    )
