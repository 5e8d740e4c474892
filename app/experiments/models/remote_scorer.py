"""A model behind an OpenAI-compatible server that tells the log probabilities of a prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from app.experiments.models.model import plain_ids
from app.experiments.models.scorer import Floats, Row, batches
from app.models.model_types import ModelError
from app.models.remote_model import RemoteModel


class RemoteScorer:
    """Sends token ids to /v1/completions with `echo` and `logprobs`, as vLLM answers them.

    The tokenizer is the server's model's own, read from a folder here: a server's protocol has no
    word for tokens.
    """

    context: int | None = None  # the protocol does not say; a server refuses what is too long
    digest: str | None = None
    parameters: int | None = None

    def __init__(self, url: str, tokenizer: Path | None) -> None:
        from transformers import AutoTokenizer

        if tokenizer is None:
            raise ModelError(
                f"{url}: name the folder of its model's tokenizer with --tokenizer; "
                "prompts are sent as token ids"
            )
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        except (OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(f"{tokenizer}: holds no tokenizer ({reason})") from None
        self._server = RemoteModel(url, prompt_tokens=0, answer_tokens=1)
        self.name = self._server.name

    def encode(self, text: str) -> list[int]:
        """Token ids, without the beginnings and ends that the tokenizer would add."""
        return plain_ids(self._tokenizer, text)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids."""
        return str(self._tokenizer.decode(ids))

    def losses(self, rows: Sequence[Row]) -> list[Floats]:
        """For each row, the losses (K,) of its wanted tokens in nats. Raises ModelError."""
        found: dict[int, Floats] = {}
        for batch in batches(rows):
            body = {
                "model": self.name,
                "prompt": [rows[number].ids.tolist() for number in batch],
                "max_tokens": 1,  # none is not asked for: some servers refuse it
                "temperature": 0.0,
                "echo": True,
                "logprobs": 1,
            }
            answered = self._server.ask("completions", body)
            for number, choice in zip(batch, self._choices(answered, len(batch)), strict=True):
                found[number] = self._row_losses(choice, rows[number])
        return [found[number] for number in range(len(rows))]

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _choices(self, answered: dict[str, Any], count: int) -> list[dict[str, Any]]:
        choices = sorted(answered.get("choices") or (), key=lambda choice: choice.get("index", 0))
        if len(choices) != count:
            raise ModelError(
                f"{self._server.host}: answered {len(choices)} of {count} prompts; it must take "
                "several lists of token ids at once, as vLLM does"
            )
        return choices

    def _row_losses(self, choice: dict[str, Any], row: Row) -> Floats:
        told = (choice.get("logprobs") or {}).get("token_logprobs") or []
        if len(told) < len(row.ids) or any(told[place] is None for place in row.wanted):
            raise ModelError(
                f"{self._server.host}: gives no log probabilities of the prompt's tokens (echo "
                "with logprobs), which perplexity needs; vLLM does"
            )
        return -np.array([told[place] for place in row.wanted], np.float32)
