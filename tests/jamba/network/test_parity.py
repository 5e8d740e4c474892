"""The same weights give the same logits as those of transformers, for every model of the grid."""

import pytest

from tests.jamba.parity import GRID, TOLERANCE, measure
from tests.jamba.random_models import draw_fields


@pytest.mark.parametrize("seed", GRID)
def test_logits_equal_those_of_transformers(seed, tmp_path):
    parity = measure(seed, tmp_path)
    assert parity.worst <= TOLERANCE, parity


def test_the_drawn_models_differ_in_every_way_that_matters():
    drawn = [draw_fields(seed) for seed in GRID]

    def values(name):
        return {fields[name] for fields in drawn}

    assert len(drawn) >= 24
    for name in ("tie_word_embeddings", "mamba_conv_bias", "mamba_proj_bias"):
        assert values(name) == {True, False}
    assert values("num_experts_per_tok") == {1, 2, 4}
    assert values("mamba_d_state") == {8, 16, 32}
    assert values("mamba_d_conv") == {2, 4}
    assert values("mamba_dt_rank") > {"auto"}
    assert len(values("mamba_expand")) == 3
    assert len(values("hidden_size")) > 5
    assert 1 in values("num_experts")
    assert any(1 < f["num_key_value_heads"] < f["num_attention_heads"] for f in drawn)
    assert any(f["attn_layer_period"] == 1 for f in drawn)  # attention in every layer
    assert any(f["attn_layer_offset"] >= f["num_hidden_layers"] for f in drawn)  # in none
