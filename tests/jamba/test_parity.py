"""The same weights give the same logits as transformers.

Transformers is an oracle for a whole prompt and for one token at a time. It is none for several
tokens that continue a cache: its scan then starts again from zero.
"""

import pytest
import torch

from jamba.state import SequenceState
from jamba.weights import load_model
from tests.jamba.random_models import VOCABULARY, draw_fields, make_pair, relative_error

TOLERANCE = 1e-4


@pytest.mark.parametrize("seed", range(12))
def test_logits_equal_transformers(seed, tmp_path):
    fields = draw_fields(seed)
    pair = make_pair(fields, seed, tmp_path)
    model = load_model(tmp_path)
    ids = torch.randint(0, VOCABULARY, (2, 37), generator=torch.Generator().manual_seed(seed))
    theirs = pair.theirs(ids, use_cache=False).logits

    whole = relative_error(model.logits(ids), theirs)
    state = SequenceState.fresh(model.config, batch=2, capacity=1)
    steps = torch.cat([model(ids[:, t : t + 1], state) for t in range(ids.shape[1])], dim=1)
    stepped = relative_error(steps, theirs)

    assert whole < TOLERANCE, f"seed {seed}"
    assert stepped < TOLERANCE, f"seed {seed}, token by token"
    assert state.length == ids.shape[1]


def test_token_by_token_equals_transformers_token_by_token(hybrid, model):
    ids = torch.randint(0, VOCABULARY, (1, 24), generator=torch.Generator().manual_seed(1))
    state, cache = SequenceState.fresh(model.config), None
    for t in range(ids.shape[1]):
        out = hybrid.theirs(ids[:, t : t + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        assert relative_error(model(ids[:, t : t + 1], state), out.logits) < TOLERANCE


def test_the_drawn_models_differ_in_every_way_that_matters():
    drawn = [draw_fields(seed) for seed in range(12)]
    for name in ("tie_word_embeddings", "mamba_conv_bias", "mamba_proj_bias"):
        assert {fields[name] for fields in drawn} == {True, False}
    assert any(fields["num_experts"] == 1 for fields in drawn)
    assert any(fields["num_experts"] > 1 for fields in drawn)
    assert any(1 < f["num_key_value_heads"] < f["num_attention_heads"] for f in drawn)
    assert any(fields["attn_layer_period"] % 2 for fields in drawn)
