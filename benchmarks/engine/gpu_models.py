"""Models of the sizes that a GPU is for, with drawn weights; and tiny ones to try the command."""

from dataclasses import dataclass
from pathlib import Path

import torch

from jamba.config import JambaConfig
from jamba.network.model import Jamba
from jamba.network.weights import save_model
from jamba.state import CPU, Place


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large everything is that a check runs."""

    name: str
    place: Place
    dense: JambaConfig
    experts: JambaConfig
    trained: JambaConfig
    prompt: int  # tokens
    contexts: tuple[int, ...]  # tokens that are kept for a question
    written: int  # tokens
    together: int  # sequences in a batch
    rows: int  # of a training step, 1,024 tokens each
    seeds: int  # drawn architectures
    product: int  # rows and columns of the matrices that the rate of products is measured with


REAL = Sizes(
    name="3 B dense; 3 B in 16 experts",
    place=Place(torch.device("cuda"), torch.bfloat16),
    dense=JambaConfig(  # the shape of AI21-Jamba-Reasoning-3B
        vocab_size=65536,
        hidden_size=2560,
        intermediate_size=8192,
        num_hidden_layers=28,
        num_attention_heads=20,
        num_key_value_heads=1,
        attn_layer_period=14,
        attn_layer_offset=7,
        num_experts=1,
        num_experts_per_tok=1,
        tie_word_embeddings=True,
    ),
    experts=JambaConfig(  # the layout of Jamba 1.5, an eighth as wide and as deep
        vocab_size=65536,
        hidden_size=2048,
        intermediate_size=7168,
        num_hidden_layers=8,
        num_attention_heads=16,
        num_key_value_heads=4,
        num_experts=16,
    ),
    trained=JambaConfig(
        vocab_size=8192,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        num_experts=4,
    ),
    prompt=2048,
    contexts=(32768, 131072),
    written=64,
    together=16,
    rows=8,
    seeds=8,
    product=8192,
)
_TINY = JambaConfig(
    vocab_size=97,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
    num_experts=4,
    attn_layer_period=3,
    attn_layer_offset=1,
)
SMOKE = Sizes("tiny", CPU, _TINY, _TINY, _TINY, 64, (128,), 4, 2, 1, 1, 64)


def make(config: JambaConfig, folder: Path, place: Place) -> Path:
    """Write the model with weights drawn on the device itself; the same folder only once."""
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        with torch.device(place.device):
            model: Jamba = Jamba(config).to(place.dtype)
        save_model(model, folder)
    return folder
