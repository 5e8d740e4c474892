"""Our own engine's model as a scorer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.experiments.models.files import digest_of_model, size_of_model
from app.experiments.models.scorer import BATCH_TOKENS, Floats, Ids, Row, batches, padded
from app.models.model_types import ModelError

if TYPE_CHECKING:
    from torch import Tensor

HEAD_ROWS = 1024  # positions whose logits are held at once
CPU_BATCH_TOKENS = 2048  # what is computed between two products then stays in a core's cache


class JambaScorer:
    """A Jamba checkpoint in a folder; whole rows at once, logits only where they are scored."""

    def __init__(self, folder: Path, name: str) -> None:
        import jamba
        from jamba.network.weights import best_place
        from jamba.tokens.chat import load_tokenizer

        place = best_place()
        try:
            self._tokenizer = load_tokenizer(folder)
            self._model = jamba.load_model(folder, str(place.device), place.dtype)
        except (jamba.JambaError, OSError) as error:
            raise ModelError(f"{name}: {error}") from None
        self.name = name
        self.digest: str | None = digest_of_model(folder)
        self.parameters: int | None = size_of_model(self._model)
        self.context: int | None = self._model.config.max_position_embeddings

    def encode(self, text: str) -> list[int]:
        """Token ids; control tokens written out in the text stay words."""
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self._tokenizer.decode(ids)

    def losses(self, rows: Sequence[Row]) -> list[Floats]:
        """For each row, the losses (K,) of its wanted tokens in nats."""
        found: dict[int, Floats] = {}
        on_cpu = self._model.place.device.type == "cpu"
        for batch in batches(rows, CPU_BATCH_TOKENS if on_cpu else BATCH_TOKENS):
            losses = self._losses([rows[number] for number in batch])
            ends = np.cumsum([len(rows[number].wanted) for number in batch])
            found |= dict(zip(batch, np.split(losses, ends[:-1]), strict=True))
        return [found[number] for number in range(len(rows))]

    def close(self) -> None:
        """The memory goes with the object."""

    def _losses(self, rows: Sequence[Row]) -> Floats:
        """The losses of all rows' wanted tokens, one row after another."""
        import torch

        def put(array: Ids) -> "Tensor":
            return torch.from_numpy(array).to(self._model.place.device)

        numbers = np.repeat(np.arange(len(rows)), [len(row.wanted) for row in rows])
        before = np.concatenate([row.wanted for row in rows]) - 1
        targets = np.concatenate([row.ids[row.wanted] for row in rows])
        with torch.inference_mode():
            hidden = self._model.hidden_at(put(padded(rows)), put(numbers), put(before))  # (K, H)
            return self._head_losses(hidden, put(targets))

    def _head_losses(self, hidden: "Tensor", targets: "Tensor") -> Floats:
        """Losses (K,) in float32 of targets (K,), the logits of some tokens at a time."""
        import torch
        import torch.nn.functional as F

        pairs = zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)
        losses = [
            F.cross_entropy(self._model.head(each).float(), wanted, reduction="none")
            for each, wanted in pairs
        ]
        return np.asarray(torch.cat(losses).cpu().numpy(), np.float32)
