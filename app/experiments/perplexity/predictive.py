"""A cross-encoder that predicts which passage helps a language model to go on.

In-Context RALM (arXiv 2302.00083), section 5.2: it reads the end of the text so far and a passage,
and never the tokens to come.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.retrieval_file import Retrieved

if TYPE_CHECKING:
    from torch import Tensor

CARD = "reranker.json"  # how it was trained and what it reached
MAX_TOKENS = 256  # of query and passage together


class Reranker:
    """A trained cross-encoder."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @classmethod
    def open(cls, folder: Path) -> "Reranker":
        """A folder that `train predictive` made; raises ExperimentError."""
        if not (folder / CARD).is_file():
            raise ExperimentError(f"{folder}: holds no reranker; 'train predictive' makes one")
        model, tokenizer = load_cross_encoder(folder)
        return cls(model.eval().requires_grad_(False), tokenizer)

    def choose(self, found: Retrieved) -> int:
        """The rank of the passage that is likeliest to help; the earlier of two that are equal."""
        import torch

        passages = [candidate.read for candidate in found.candidates]
        with torch.inference_mode():
            return int(scores(self._model, self._tokenizer, [found.query], [passages])[0].argmax())


def load_cross_encoder(folder: Path | str) -> tuple[Any, Any]:
    """An encoder with one score on top, and its tokenizer; raises ExperimentError."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=1)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ExperimentError(f"{folder}: cannot be loaded as an encoder ({reason})") from None
    return model, tokenizer


def scores(
    model: Any, tokenizer: Any, queries: Sequence[str], passages: Sequence[Sequence[str]]
) -> list["Tensor"]:
    """For each query, one score (k,) of each of its k passages; all pairs are read together."""
    sizes = [len(texts) for texts in passages]
    encoded = tokenizer(
        [query for query, size in zip(queries, sizes, strict=True) for _ in range(size)],
        [text for texts in passages for text in texts],
        truncation=True,
        max_length=MAX_TOKENS,
        padding=True,
        return_tensors="pt",
    )
    logits = model(**encoded.to(model.device)).logits[:, 0]  # (pairs,)
    return list(logits.split(sizes))
