"""Our own engine's model as a scorer."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from app.experiments.model_files import digest_of_model
from app.experiments.scorer import Floats, Row, batches, padded
from app.model_types import ModelError

if TYPE_CHECKING:
    from torch import Tensor

HEAD_ROWS = 1024  # positions whose logits are held at once


class JambaScorer:
    """A Jamba checkpoint in a folder; whole rows at once, logits only where they are scored."""

    def __init__(self, folder: Path, name: str) -> None:
        import jamba
        from jamba.chat import load_tokenizer

        try:
            self._tokenizer = load_tokenizer(folder)
            self._model = jamba.load_model(folder)
        except (jamba.JambaError, OSError) as error:
            raise ModelError(f"{name}: {error}") from None
        self.name = name
        self.digest: str | None = digest_of_model(folder)
        self.context: int | None = self._model.config.max_position_embeddings

    def encode(self, text: str) -> list[int]:
        """Token ids; control tokens written out in the text stay words."""
        return self._tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return self._tokenizer.decode(ids)

    def losses(self, rows: Sequence[Row]) -> list[Floats]:
        """For each row, the losses (K,) of its wanted tokens in nats."""
        import torch

        found: dict[int, Floats] = {}
        for batch in batches(rows):
            chosen = [rows[number] for number in batch]
            with torch.inference_mode():
                hidden = self._model.hidden(torch.from_numpy(padded(chosen)))  # (B, T, H)
                before = [hidden[n, row.wanted - 1] for n, row in enumerate(chosen)]
                targets = np.concatenate([row.ids[row.wanted] for row in chosen])
                losses = self._head_losses(torch.cat(before), torch.from_numpy(targets))
            ends = np.cumsum([len(row.wanted) for row in chosen])
            found |= dict(zip(batch, np.split(losses, ends[:-1]), strict=True))
        return [found[number] for number in range(len(rows))]

    def close(self) -> None:
        """The memory goes with the object."""

    def _head_losses(self, hidden: "Tensor", targets: "Tensor") -> Floats:
        """Losses (K,) of targets (K,) after hidden states (K, H), some logits at a time."""
        import torch.nn.functional as F
        from torch import cat

        pairs = zip(hidden.split(HEAD_ROWS), targets.split(HEAD_ROWS), strict=True)
        losses = [F.cross_entropy(self._model.head(h), t, reduction="none") for h, t in pairs]
        return np.asarray(cat(losses).numpy(), np.float32)
