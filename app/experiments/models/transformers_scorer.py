"""Any causal language model that transformers loads, as a scorer."""

import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.experiments.models.files import digest_of_model, size_of_model
from app.experiments.models.model import plain_ids
from app.experiments.models.scorer import Floats, Ids, Row, batches, padded
from app.models.model_types import ModelError

LOGITS = 2**26  # float32 values held at once: 256 MiB


def load_causal_model(folder: Path, name: str) -> tuple[Any, Any, int | None]:
    """A model, on the GPU where there is one, its tokenizer, and the tokens it reads at most.

    Raises ModelError.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    on_gpu = torch.cuda.is_available()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        # bfloat16 is many times slower than float32 on most CPUs
        model = AutoModelForCausalLM.from_pretrained(
            folder, dtype="auto" if on_gpu else torch.float32
        )
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name}: transformers does not load it as a causal language model ({reason})"
        ) from None
    model = model.to("cuda" if on_gpu else "cpu").eval().requires_grad_(False)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return model, tokenizer, context


class TransformersScorer:
    """A model folder read by transformers, on the GPU where there is one."""

    def __init__(self, folder: Path, name: str) -> None:
        self._model, self._tokenizer, self.context = load_causal_model(folder, name)
        self._keeps_some = "logits_to_keep" in inspect.signature(self._model.forward).parameters
        self._vocabulary = int(self._model.config.get_text_config().vocab_size)
        self.name = name
        self.digest: str | None = digest_of_model(folder)
        self.parameters: int | None = size_of_model(self._model)

    def encode(self, text: str) -> list[int]:
        """Token ids, without the beginnings and ends that the tokenizer would add."""
        return plain_ids(self._tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return str(self._tokenizer.decode(ids))

    def losses(self, rows: Sequence[Row]) -> list[Floats]:
        """For each row, the losses (K,) of its wanted tokens in nats."""
        found: dict[int, Floats] = {}
        for batch in batches(rows):
            for part in self._parts(rows, batch):
                found |= dict(zip(part, self._losses([rows[n] for n in part]), strict=True))
        return [found[number] for number in range(len(rows))]

    def close(self) -> None:
        """The memory goes with the object."""

    def _parts(self, rows: Sequence[Row], batch: Sequence[int]) -> Iterator[list[int]]:
        """Parts of a batch whose logits fit: a position kept for one row is kept for all."""
        part: list[int] = []
        kept = 0
        for number in batch:
            kept += len(rows[number].wanted)
            if part and (len(part) + 1) * kept * self._vocabulary > LOGITS:
                yield part
                part, kept = [], len(rows[number].wanted)
            part.append(number)
        yield part

    def _losses(self, rows: Sequence[Row]) -> list[Floats]:
        import torch
        import torch.nn.functional as F

        ids = padded(rows)
        kept: Ids = np.unique(np.concatenate([row.wanted for row in rows])) - 1
        keep = torch.from_numpy(kept).to(self._model.device)
        # A mask is not needed: rows are filled up behind, and attention looks back.
        options = {"logits_to_keep": keep} if self._keeps_some else {}
        with torch.inference_mode():
            read = torch.from_numpy(ids).to(self._model.device)
            logits = self._model(read, use_cache=False, **options).logits
            logits = logits if self._keeps_some else logits[:, keep]  # (B, kept, V)
            losses = F.cross_entropy(
                logits.float().transpose(1, 2), read[:, keep + 1], reduction="none"
            )  # in float32 whatever the model computes in
        found = losses.cpu().numpy()  # (B, kept)
        places = [np.searchsorted(kept, row.wanted - 1) for row in rows]
        return [found[n, place] for n, place in enumerate(places)]
