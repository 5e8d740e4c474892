"""What the tokens' vectors may start from: the word vectors of the retriever's encoder.

A training on a CPU sees most words a few hundred times; an encoder that read far more already
knows which of them are alike.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jamba.tokens.chat import ChatTokenizer


def encoder_embedding(
    tokenizer: ChatTokenizer, size: int, width: int, spread: float, encoder: Path
) -> Tensor:
    """Vectors (size, width) for every token, with `spread` as their standard deviation.

    A token has the mean of the vectors of the word pieces that spell it, in as many of their
    principal directions as `width` has. What spells no words (special tokens, parts of characters)
    has zeros.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    pieces = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    words = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"].float()
    words = words - words.mean(0)
    _, _, directions = torch.linalg.svd(words, full_matrices=False)
    words = words @ directions[:width].T  # (pieces, at most width)
    vectors = torch.zeros(size, width)
    for token in range(size):
        found = piece_ids(tokenizer.decode([token]), pieces)
        if found:
            vectors[token, : words.shape[1]] = words[found].mean(0)
    return vectors * (spread / vectors[vectors.any(1)].std())


def piece_ids(text: str, pieces: Any) -> Sequence[int]:
    """The word pieces that spell a token; one that no space precedes goes on in a word."""
    if not text.strip() or "\N{REPLACEMENT CHARACTER}" in text:
        return ()
    inside = pieces.token_to_id(f"##{text.lower()}")
    if inside is not None and not text[0].isspace():
        return (inside,)
    ids: list[int] = pieces.encode(text.strip(), add_special_tokens=False).ids
    return ids
