"""Random Jamba models: drawn by a seed, made by transformers, saved as it saves them."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

VOCABULARY = 97


def draw_fields(seed: int) -> dict[str, Any]:
    """One architecture for JambaConfig; small, and odd in as many ways as the format allows."""
    rng = random.Random(seed)
    heads = rng.choice([1, 2, 4])
    layers = rng.randint(2, 6)
    period, expert_period = rng.randint(2, 4), rng.randint(1, 3)
    mixers = (period, rng.randrange(period))
    if seed % 7 == 5:
        mixers = (1, 0)  # attention in every layer
    if seed % 7 == 6:
        mixers = (layers + 1, layers)  # Mamba in every layer
    experts = rng.choice([1, 2, 4, 5])
    return {
        "vocab_size": VOCABULARY,
        "hidden_size": heads * rng.choice([8, 12, 20]),
        "intermediate_size": rng.choice([24, 52]),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": rng.choice([n for n in (1, 2, 4) if heads % n == 0]),
        "num_experts": experts,
        "num_experts_per_tok": min(experts, rng.choice([1, 2, 4])),
        "attn_layer_period": mixers[0],
        "attn_layer_offset": mixers[1],
        "expert_layer_period": expert_period,
        "expert_layer_offset": rng.randrange(expert_period),
        "mamba_d_state": rng.choice([8, 16, 32]),
        "mamba_d_conv": rng.choice([2, 4]),
        "mamba_expand": rng.choice([1, 2, 3]),
        "mamba_dt_rank": rng.choice(["auto", 3, 7]),
        "mamba_conv_bias": rng.random() < 0.5,
        "mamba_proj_bias": rng.random() < 0.5,
        "tie_word_embeddings": rng.random() < 0.5,
    }


@dataclass(frozen=True)
class Pair:
    """One model twice: transformers' and the folder it was saved to."""

    theirs: Any
    folder: Path


def make_pair(fields: dict[str, Any], seed: int, folder: Path, **saving: Any) -> Pair:
    """Build transformers' model with weights large enough for every part to matter; save it."""
    from transformers import JambaConfig, JambaForCausalLM

    torch.manual_seed(seed)
    theirs = JambaForCausalLM(JambaConfig(**fields)).eval().requires_grad_(False)
    for name, parameter in theirs.named_parameters():
        if "A_log" in name:
            parameter.add_(torch.randn_like(parameter) * 0.3)
        elif "layernorm" in name or name.endswith(".D"):
            parameter.uniform_(0.5, 1.5)
        else:
            parameter.normal_(0, 0.25)
    theirs.save_pretrained(folder, **saving)
    return Pair(theirs, folder)


def relative_error(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """Largest difference over the largest logit."""
    return float((ours - theirs).abs().max() / theirs.abs().max())


HYBRID = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_experts": 4,
    "attn_layer_period": 3,
    "attn_layer_offset": 1,
    "mamba_d_state": 8,
}
