"""The reader: a question and passages in; the best spans, exact offsets and log odds out.

A MiniLM encoder reads "[CLS] question [SEP] passage [SEP]" and a linear head scores every token
as the start and as the end of the answer; [CLS] stands for "no answer here" (as in SQuAD 2.0).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from retrieval.types import ReadSpan, Region, RetrievalError

FORMAT = 1
CARD, TENSORS = "reader.json", "reader.safetensors"
QUESTION_TOKENS = 64
WINDOW_TOKENS = 320
STRIDE_TOKENS = 96
ANSWER_TOKENS = 40
BLOCKED = -1e4  # a score no span can win with


@dataclass(frozen=True, slots=True)
class Calibration:
    """Log odds of a span = `scale` * (its score - the no-answer score) + `shift` (Platt)."""

    scale: float = 1.0
    shift: float = 0.0


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


def make_windows(
    tokenizer: Any, question: str, passage: str, number: int = 0, longest: int = WINDOW_TOKENS
) -> list[Window]:
    """Overlapping windows of at most `longest` tokens that cover the whole passage."""
    cls, sep = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    asked = tokenizer.encode(question, add_special_tokens=False).ids[:QUESTION_TOKENS]
    read = tokenizer.encode(passage, add_special_tokens=False)
    room = longest - len(asked) - 3
    shared = min(STRIDE_TOKENS, room // 2)  # tokens that two neighbours have in common
    head = (cls, *asked, sep)
    windows = []
    for first in range(0, max(1, len(read.ids) - shared), room - shared):
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


class Reader:
    """A trained span model with its tokenizer; safe to call from any thread."""

    def __init__(
        self,
        model: SpanModel,
        tokenizer: Any,
        calibration: Calibration = Calibration(),
        window_tokens: int = WINDOW_TOKENS,
    ) -> None:
        self._model = model.eval()
        self._tokenizer = tokenizer
        self._calibration = calibration
        self._window_tokens = window_tokens

    @torch.inference_mode()
    def read(
        self,
        question: str,
        passages: Sequence[str],
        regions: Sequence[Region] | None = None,
        *,
        window_tokens: int | None = None,
    ) -> list[ReadSpan | None]:
        """The best span within each region, in order; None where no token lies wholly inside.

        Without `regions` each passage is one, without `window_tokens` windows are the reader's own.
        All passages are read in one batch.
        """
        if regions is None:
            regions = [Region(number, 0, len(text)) for number, text in enumerate(passages)]
        longest = self._window_tokens if window_tokens is None else window_tokens
        windows = [
            window
            for number, passage in enumerate(passages)
            for window in make_windows(self._tokenizer, question, passage, number, longest)
        ]
        if not windows or not regions:
            return [None] * len(regions)
        start, end = self._model(*collate(windows)).numpy()  # (B, T) each
        return [self._best(region, windows, start, end) for region in regions]

    def _best(
        self, region: Region, windows: Sequence[Window], start: np.ndarray, end: np.ndarray
    ) -> ReadSpan | None:
        """The best of the region's windows; ties go to the earlier one."""
        scale, shift = self._calibration.scale, self._calibration.shift
        found = [
            replace(span, score=scale * span.score + shift)
            for row, window in enumerate(windows)
            if window.passage == region.passage
            and (span := best_within(region, window, start[row], end[row])) is not None
        ]
        return max(found, key=lambda span: span.score, default=None)


def best_within(
    region: Region, window: Window, start: np.ndarray, end: np.ndarray
) -> ReadSpan | None:
    """The span of at most ANSWER_TOKENS tokens in the region with the highest start + end score.

    start, end: (T,). Its score is less the no-answer score. Ties: earlier, then shorter.
    """
    inside = [
        token
        for token, offset in enumerate(window.offsets)
        if offset is not None and region.start <= offset[0] and offset[1] <= region.end
    ]
    if not inside:
        return None
    first, last = inside[0], inside[-1] + 1
    scores = start[first:last, None] + end[None, first:last]  # (tokens, tokens)
    tokens = last - first
    short = np.triu(np.ones((tokens, tokens), bool)) & ~np.triu(
        np.ones((tokens, tokens), bool), ANSWER_TOKENS
    )
    i, j = divmod(int(np.argmax(np.where(short, scores, 2 * BLOCKED))), tokens)
    left, right = window.offsets[first + i], window.offsets[first + j]
    score = float(scores[i, j] - start[0] - end[0])
    return ReadSpan(region.passage, left[0], right[1], score) if left and right else None


def new_span_model(encoder_folder: Path) -> SpanModel:
    """A span model on a BERT folder's weights with a fresh head; reads no network."""
    from safetensors.torch import load_file
    from transformers import BertConfig, BertModel

    # The fused CPU kernel knows no attention dropout: without it 8 -> 12 examples a second.
    config = BertConfig.from_pretrained(
        str(encoder_folder), local_files_only=True, attention_probs_dropout_prob=0.0
    )
    encoder = BertModel(config, add_pooling_layer=False)
    saved = load_file(encoder_folder / "model.safetensors")
    encoder.load_state_dict({name: saved[name] for name in encoder.state_dict()})
    return SpanModel(encoder.float(), config.hidden_size)


def load_reader(folder: Path, encoder_folder: Path) -> Reader:
    """The reader whose changed tensors are in `folder`, on top of the encoder it started from.

    Raises RetrievalError where the folder is not a reader or does not fit the encoder.
    """
    card = read_card(folder)
    model = new_span_model(encoder_folder)
    put_tensors(model, folder)
    calibration = Calibration(**card["calibration"])
    return Reader(model, open_tokenizer(encoder_folder), calibration, card["window_tokens"])


def read_card(folder: Path) -> dict[str, Any]:
    """What `reader.json` says of the reader; RetrievalError where it says nothing."""
    try:
        card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        if card["format"] != FORMAT:
            raise ValueError(f"format {card['format']}; this version reads format {FORMAT}")
        return card
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RetrievalError(f"{folder}: not a reader folder ({error})") from error


def put_tensors(model: SpanModel, folder: Path) -> None:
    """Put the tensors of the reader in `folder` into `model`; RetrievalError if they do not fit."""
    from safetensors.torch import load_file

    try:
        learned = load_file(folder / TENSORS)
    except (OSError, ValueError) as error:
        raise RetrievalError(f"{folder}: not a reader folder ({error})") from error
    own = model.state_dict()
    wrong = [n for n, tensor in learned.items() if n not in own or own[n].shape != tensor.shape]
    if wrong:
        raise RetrievalError(f"{folder}: does not fit its encoder ({', '.join(wrong[:3])})")
    model.load_state_dict({**own, **{name: tensor.float() for name, tensor in learned.items()}})
