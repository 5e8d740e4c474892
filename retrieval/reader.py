"""The reader: a question and passages in; the best spans, exact offsets and a no-answer score out.

A MiniLM encoder reads "[CLS] question [SEP] passage [SEP]" and a linear head scores every token
as the start and as the end of the answer; [CLS] stands for "no answer here" (as in SQuAD 2.0).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.types import RetrievalError

QUESTION_TOKENS = 64
WINDOW_TOKENS = 320
STRIDE_TOKENS = 96
ANSWER_TOKENS = 40
BLOCKED = -1e4  # a score no span can win with


@dataclass(frozen=True, slots=True)
class ReadSpan:
    """`passages[passage][start:end]` answers with `score`: span score minus no-answer score."""

    passage: int
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Window:
    """One model input: token ids, and for each token its character span in the passage or None."""

    passage: int
    ids: tuple[int, ...]
    segments: tuple[int, ...]
    offsets: tuple[tuple[int, int] | None, ...]


class SpanModel(nn.Module):
    """A BERT encoder with one linear start/end head."""

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, 2)

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor, allowed: Tensor) -> Tensor:
        """ids, segments, mask, allowed: (B, T) -> start and end scores (2, B, T) float32."""
        hidden = self.encoder(
            input_ids=ids, token_type_ids=segments, attention_mask=mask
        ).last_hidden_state  # (B, T, H)
        scores: Tensor = self.head(hidden).permute(2, 0, 1)  # (2, B, T)
        return scores.masked_fill(~allowed, BLOCKED)


def open_tokenizer(folder: Path) -> Any:
    """The encoder's tokenizer, without padding and truncation: windows are cut here."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def make_windows(tokenizer: Any, question: str, passage: str, number: int = 0) -> list[Window]:
    """Overlapping windows of at most WINDOW_TOKENS tokens that cover the whole passage."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    asked = tokenizer.encode(question, add_special_tokens=False).ids[:QUESTION_TOKENS]
    read = tokenizer.encode(passage, add_special_tokens=False)
    room = WINDOW_TOKENS - len(asked) - 3
    head = (cls, *asked, sep)
    windows = []
    for first in range(0, max(1, len(read.ids) - STRIDE_TOKENS), room - STRIDE_TOKENS):
        ids = tuple(read.ids[first : first + room])
        offsets = tuple(read.offsets[first : first + room])
        windows.append(
            Window(
                number,
                (*head, *ids, sep),
                (0,) * len(head) + (1,) * (len(ids) + 1),
                (None,) * len(head) + offsets + (None,),
            )
        )
    return windows


def collate(windows: Sequence[Window]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pad windows to (B, T): ids, segments, attention mask, and where a span may stand."""
    longest = max(len(window.ids) for window in windows)
    ids = torch.zeros(len(windows), longest, dtype=torch.long)
    segments, mask = torch.zeros_like(ids), torch.zeros_like(ids)
    allowed = torch.zeros(len(windows), longest, dtype=torch.bool)
    for row, window in enumerate(windows):
        size = len(window.ids)
        ids[row, :size] = torch.tensor(window.ids)
        segments[row, :size] = torch.tensor(window.segments)
        mask[row, :size] = 1
        allowed[row, :size] = torch.tensor([offset is not None for offset in window.offsets])
        allowed[row, 0] = True  # [CLS]: no answer
    return ids, segments, mask, allowed


def best_spans(start: np.ndarray, end: np.ndarray, most: int) -> list[tuple[int, int, float]]:
    """The `most` best (first token, last token, score) of one window; start, end: (T,)."""
    tokens = len(start)
    scores = start[:, None] + end[None, :]  # (T, T)
    scores[~np.triu(np.ones((tokens, tokens), dtype=bool))] = 2 * BLOCKED
    scores[np.triu(np.ones((tokens, tokens), dtype=bool), ANSWER_TOKENS)] = 2 * BLOCKED
    scores[0, :] = 2 * BLOCKED
    flat = np.argsort(-scores, axis=None, kind="stable")[:most]
    pairs = (divmod(int(place), tokens) for place in flat)
    return [(i, j, float(scores[i, j])) for i, j in pairs if scores[i, j] > BLOCKED / 2]


class Reader:
    """A trained span model with its tokenizer; `read` is what the rest of the program calls."""

    def __init__(self, model: SpanModel, tokenizer: Any) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer

    @torch.inference_mode()
    def read(self, question: str, passages: Sequence[str], most: int = 5) -> list[ReadSpan]:
        """The best spans over all passages, best first; a negative score means "more likely none".

        At most `most` a passage. Ties: earlier passage, earlier start, shorter span.
        """
        windows = [
            window
            for number, passage in enumerate(passages)
            for window in make_windows(self._tokenizer, question, passage, number)
        ]
        if not windows:
            return []
        start, end = self._model(*collate(windows)).numpy()  # (B, T) each
        spans = [
            span
            for row, window in enumerate(windows)
            for span in _window_spans(window, start[row], end[row], most)
        ]
        return sorted(spans, key=lambda span: (-span.score, span.passage, span.start, span.end))


def _window_spans(window: Window, start: np.ndarray, end: np.ndarray, most: int) -> list[ReadSpan]:
    size = len(window.ids)
    none = float(start[0] + end[0])
    spans = []
    for first, last, score in best_spans(start[:size].copy(), end[:size].copy(), most):
        left, right = window.offsets[first], window.offsets[last]
        if left is not None and right is not None:
            spans.append(ReadSpan(window.passage, left[0], right[1], score - none))
    return spans


def new_span_model(encoder_folder: Path) -> SpanModel:
    """A span model on a BERT folder's weights with a fresh head; reads no network."""
    from transformers import BertModel

    encoder = BertModel.from_pretrained(
        str(encoder_folder), add_pooling_layer=False, local_files_only=True
    )
    return SpanModel(encoder.float(), encoder.config.hidden_size)


def load_reader(folder: Path, encoder_folder: Path) -> Reader:
    """The reader whose changed tensors are in `folder`, on top of the encoder it started from.

    Raises RetrievalError where the folder is not a reader or does not fit the encoder.
    """
    from safetensors.torch import load_file

    try:
        card = json.loads((folder / "reader.json").read_text(encoding="utf-8"))
        learned = load_file(folder / "reader.safetensors")
    except (OSError, ValueError) as error:
        raise RetrievalError(f"{folder}: not a reader folder ({error})") from error
    model = new_span_model(encoder_folder)
    own = model.state_dict()
    wrong = [name for name, tensor in learned.items() if own[name].shape != tensor.shape]
    if wrong or card.get("format") != 1:
        raise RetrievalError(f"{folder}: does not fit the encoder in {encoder_folder} ({wrong})")
    model.load_state_dict({**own, **{name: tensor.float() for name, tensor in learned.items()}})
    return Reader(model, open_tokenizer(encoder_folder))
