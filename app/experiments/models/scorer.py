"""What scores tokens: a language model as the experiments see it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.experiments.models.model import Model

Ids = NDArray[np.int64]
Floats = NDArray[np.float32]
BATCH_TOKENS = 16 * 1024  # 16 passages, each before a window of GPT-2's, in one batch


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens (T,) to read, and the positions (K,) among them to score: ascending, never 0."""

    ids: Ids
    wanted: Ids


class Scorer(Model, Protocol):
    """A causal language model; text is encoded without the tokens that a tokenizer would add."""

    @property
    def context(self) -> int | None:
        """Tokens it reads at most; None where it does not say."""
        ...

    def encode(self, text: str) -> list[int]: ...
    def decode(self, ids: Sequence[int]) -> str: ...
    def losses(self, rows: Sequence[Row]) -> list[Floats]:
        """For each row, -log p (K,) of its wanted tokens in nats, each given those before it."""
        ...

    def close(self) -> None:
        """Give back memory and connections."""


def batches(rows: Sequence[Row], tokens: int = BATCH_TOKENS) -> Iterator[list[int]]:
    """Numbers of rows to read together: of like lengths, within `tokens` when padded."""
    batch: list[int] = []
    for number in sorted(range(len(rows)), key=lambda number: -len(rows[number].ids)):
        if batch and len(rows[batch[0]].ids) * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def padded(rows: Sequence[Row]) -> Ids:
    """Their tokens (B, T), filled up behind: a causal model's earlier positions never see it."""
    longest = max(len(row.ids) for row in rows)
    return np.stack([np.pad(row.ids, (0, longest - len(row.ids)), mode="edge") for row in rows])
