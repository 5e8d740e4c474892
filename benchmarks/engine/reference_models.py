"""The two models that engines are compared on, their weights drawn by a seed."""

import json
from pathlib import Path

import jamba
from jamba.network.model import Jamba
from jamba.network.weights import save_model
from jamba.training.initialise import initialise

MODELS = {
    "52M": jamba.JambaConfig(  # one attention layer of 8, 4 experts in every second layer
        vocab_size=8192,
        hidden_size=512,
        intermediate_size=1024,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=2,
        num_experts=4,
    ),
    "304M": jamba.JambaConfig(  # dense, two attention layers of 16
        vocab_size=8192,
        hidden_size=1024,
        intermediate_size=3840,
        num_hidden_layers=16,
        num_attention_heads=16,
        num_key_value_heads=4,
        num_experts=1,
        num_experts_per_tok=1,
    ),
}


def make(name: str, folder: Path) -> Path:
    """Write the model, with a tokenizer of as many made-up words for programs that ask for one."""
    model = Jamba(MODELS[name])
    initialise(model, seed=0)
    save_model(model, folder)
    write_tokenizer(folder, MODELS[name].vocab_size)
    return folder


def write_tokenizer(folder: Path, size: int) -> None:
    """A BPE tokenizer without merges: the 256 bytes, then words that no text holds."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    specials = ["<|pad|>", "<|startoftext|>", "<|endoftext|>"]
    words = [*specials, *alphabet]
    words += [f"word{n}" for n in range(len(words), size)]
    tokenizer = Tokenizer(models.BPE({word: n for n, word in enumerate(words)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(specials)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|endoftext|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
