"""A static encoder: a vector for each token, taken once from another encoder; texts are their mean.

No network runs when texts are encoded, so this is for collections too large for one. As in
model2vec (Tulkens and van Dongen, 2024): each token goes through the encoder alone, the vectors are
reduced to their principal components, and common tokens count less (SIF: Arora et al., ICLR 2017).
How common a token is follows from its place in the vocabulary, sorted that way, by Zipf's law.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.checkpoints import SPACE, open_trainable, save_encoder
from retrieval.types import RetrievalError

DIMENSION = 256
COMMON = 1e-4  # SIF's a: a token as frequent as this counts half
PIECE = 1_024  # tokens encoded at once
CARD = """\
# {name}

A static encoder made by Orbweaver from *{start}*: {tokens} tokens of {dimension} numbers each, the
principal components of what that encoder makes of each token alone, weighed by
{common} / ({common} + frequency). A text's vector is the mean over its tokens, at unit length.
No text was used. `python -m benchmarks.retrieval.bench_encode` measures what it loses.

    python -m app index build SOURCE --out DIR --encoder {name}
"""

Table = NDArray[np.float32]  # (tokens, d)


def make_static(
    start: Path, out: Path, hear: Callable[[int, int], None], dimension: int = DIMENSION
) -> None:
    """Write a static encoder made from the encoder in `start`; `hear` gets (done, total) tokens.

    Raises RetrievalError if `out` is there, or the encoder has no vocabulary of WordPiece's kind.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, StaticEmbedding

    if out.exists():
        raise RetrievalError(f"{out} is there already: name another folder")
    model, _ = open_trainable(start)
    tokenizer = model.tokenizer
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise RetrievalError(f"{start}: its tokenizer does not put [CLS] and [SEP] around a text")
    words = _words(tokenizer)
    alone = _encoded(model, words, tokenizer, hear)
    size = max(tokenizer.get_vocab().values()) + 1
    table = np.zeros((size, min(dimension, alone.shape[1])), np.float32)
    table[words] = weigh(principal(alone, table.shape[1]))
    static = StaticEmbedding(tokenizer, embedding_weights=table)
    made = SentenceTransformer(modules=[static, Normalize()], device="cpu")
    text = CARD.format(
        name=out.name,
        start=start.name,
        tokens=len(words),
        dimension=table.shape[1],
        common=COMMON,
    )
    save_encoder(made, SPACE, out, {"README.md": text.encode()})


def principal(vectors: Table, dimension: int) -> Table:
    """The vectors (n, d) less their mean, along their `dimension` principal components."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T.astype(np.float64) @ centred)  # ascending
    kept = directions[:, ::-1][:, :dimension].astype(np.float32)
    found: Table = centred @ kept
    return found


def weigh(vectors: Table) -> Table:
    """The vectors of tokens, the most common first, each times its weight by SIF."""
    shares = 1 / np.arange(2, len(vectors) + 2)
    shares /= shares.sum()
    weights = (COMMON / (COMMON + shares)).astype(np.float32)
    weighed: Table = vectors * weights[:, None]
    return weighed


def _words(tokenizer: Any) -> list[int]:
    """The ids of tokens that stand for text, in the order of the vocabulary."""
    special = set(tokenizer.all_special_ids)
    return sorted(
        id
        for name, id in tokenizer.get_vocab().items()
        if id not in special and not name.startswith("[unused")
    )


def _encoded(
    model: Any, words: list[int], tokenizer: Any, hear: Callable[[int, int], None]
) -> Table:
    """What the encoder makes of each token between [CLS] and [SEP] (n, d)."""
    import torch

    model.eval()
    found = []
    begin, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    for first in range(0, len(words), PIECE):
        rows = [[begin, id, end] for id in words[first : first + PIECE]]
        ids = torch.tensor(rows, device=model.device)
        with torch.inference_mode():
            given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            found.append(model(given)["sentence_embedding"].float().cpu().numpy())
        hear(min(first + PIECE, len(words)), len(words))
    return np.concatenate(found)
