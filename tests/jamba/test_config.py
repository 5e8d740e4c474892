"""What config.json may say, and what is said of one that cannot be."""

import json

import pytest

from jamba.config import JambaConfig, JambaError, load_config
from tests.jamba.random_models import draw_fields


def read(**fields):
    return JambaConfig.from_dict({"model_type": "jamba", **fields})


def test_defaults_are_those_of_transformers():
    from transformers import JambaConfig as Theirs

    ours, theirs = JambaConfig().to_dict(), Theirs().to_dict()
    assert JambaConfig().dt_rank == theirs["mamba_dt_rank"]
    said_otherwise = {"mamba_dt_rank", "architectures"}
    assert {name: theirs[name] for name in ours.keys() - said_otherwise} == {
        name: ours[name] for name in ours.keys() - said_otherwise
    }


@pytest.mark.parametrize("seed", range(6))
def test_what_is_written_is_read_again(seed):
    config = read(**draw_fields(seed), eos_token_id=[2, 518])
    assert JambaConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_layers_of_the_published_sizes():
    mini = JambaConfig()
    assert [i for i in range(32) if mini.is_attention(i)] == [4, 12, 20, 28]
    assert [i for i in range(32) if mini.is_moe(i)] == list(range(1, 32, 2))
    small = read(num_hidden_layers=28, attn_layer_period=14, attn_layer_offset=7, num_experts=1)
    assert [i for i in range(28) if small.is_attention(i)] == [7, 21]
    assert not any(small.is_moe(i) for i in range(28))


@pytest.mark.parametrize(
    "old",
    [
        {"num_local_experts": 4},
        {"num_logits_to_keep": 1},
        {"sliding_window": None},
        {"mamba_inner_layernorms": True, "n_ctx": 262144, "calc_logits_for_entire_prompt": False},
        {"attention_dropout": 0.0, "use_mamba_kernels": True, "torch_dtype": "bfloat16"},
        {"num_key_value_heads": None, "num_attention_heads": 8},
        {"eos_token_id": None},
    ],
)
def test_files_of_every_age_are_read(old):
    config = read(**old)
    assert config.num_experts == old.get("num_local_experts", 16)


def test_end_of_sequence_is_a_number_or_a_list():
    assert read(eos_token_id=7).eos_token_ids == (7,)
    assert read(eos_token_id=[2, 518]).eos_token_ids == (2, 518)
    assert read(eos_token_id=None).eos_token_ids == ()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model_type": "mamba"}, "'mamba'"),
        ({"rope_theta": 10000.0}, "rope_theta"),
        ({"sliding_window": 4096}, "sliding_window"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"mamba_inner_layernorms": False}, "mamba_inner_layernorms"),
        ({"hidden_act": "gelu"}, "gelu"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"hidden_size": "4096"}, "hidden_size"),
        ({"hidden_size": True}, "hidden_size"),
        ({"hidden_size": 4095}, "no multiple of num_attention_heads"),
        ({"num_key_value_heads": 7}, "no multiple of num_key_value_heads"),
        ({"attn_layer_offset": 8}, "attn_layer_offset"),
        ({"expert_layer_offset": -1}, "expert_layer_offset"),
        ({"num_experts_per_tok": 17}, "num_experts_per_tok"),
        ({"rms_norm_eps": 0}, "rms_norm_eps"),
        ({"mamba_dt_rank": "big"}, "mamba_dt_rank"),
        ({"mamba_conv_bias": 1}, "mamba_conv_bias"),
        ({"eos_token_id": "</s>"}, "eos_token_id"),
        ({"pad_token_id": 1.5}, "pad_token_id"),
    ],
)
def test_what_cannot_be_is_one_clear_error(fields, said):
    with pytest.raises(JambaError, match=said):
        read(**fields)


def test_errors_name_the_file(tmp_path):
    with pytest.raises(JambaError, match=r"config\.json: no such file"):
        load_config(tmp_path)
    for text in ("{", "[]", '{"model_type": "llama"}'):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(JambaError, match=r"config\.json: "):
            load_config(tmp_path)
