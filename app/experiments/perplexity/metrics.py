"""Losses -> perplexities, with intervals; pure."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from app.experiments.bootstrap import Array, interval
from app.experiments.models.scorer import Floats
from app.experiments.perplexity.evaluation import Scored

BLOCK = 128  # neighbouring tokens that are drawn together: their losses depend on each other
LARGEST = 700.0  # nats; e to the power of more is no float


def measure(scored: Sequence[Scored], *, tokens: int, words: int, window: int) -> dict[str, Any]:
    """Perplexity a word and a token, with what was retrieved and without it.

    As in the paper's script, the sum of all losses goes over all tokens, or over the spaces of the
    text. Nothing is retrieved for the first window in its layout; `after_first_window` leaves these
    tokens out.
    """
    losses = np.nan_to_num(positions(scored, tokens).astype(np.float64))  # (2, N)
    ours, bare = losses
    later = losses[:, window:]
    ranks = [each.chosen for each in scored if each.chosen is not None]
    return {
        **_perplexities(ours, words),
        "without_retrieval": _perplexities(bare, words),
        "after_first_window": {
            "tokens": later.shape[1],
            "token_perplexity": perplexity(later[0].mean()),
            "without_retrieval": perplexity(later[1].mean()),
        },
        "intervals": _intervals(ours, bare),
        "tokens": tokens,
        "words": words,
        "strides": len(scored),
        "strides_without_passage": sum(each.chosen is None for each in scored),
        "mean_rank": float(np.mean(ranks)) if ranks else None,
    }


def positions(scored: Sequence[Scored], tokens: int) -> Floats:
    """Losses (2, N) of each token, with retrieval and without; NaN for the text's first token."""
    losses = np.full((2, tokens), np.nan, np.float32)
    for stride in scored:
        begin = stride.end - len(stride.losses)
        losses[:, begin : stride.end] = stride.losses, stride.without
    return losses


def perplexity(loss: float) -> float | None:
    """e to the power of a mean loss; None where that is no finite number."""
    return math.exp(loss) if loss < LARGEST else None


def _perplexities(losses: Array, words: int) -> dict[str, float | None]:
    total = float(losses.sum())
    return {
        "word_perplexity": perplexity(total / words) if words else None,
        "token_perplexity": perplexity(total / len(losses)),
    }


def _intervals(ours: Array, bare: Array) -> dict[str, tuple[float, float]]:
    """95 % intervals a token: of both perplexities, and of their ratio, whose losses are paired."""
    return {
        "token_perplexity": interval([ours], np.exp, block=BLOCK),
        "without_retrieval": interval([bare], np.exp, block=BLOCK),
        "ratio": interval([ours, bare], lambda a, b: np.exp(a - b), block=BLOCK),
    }
