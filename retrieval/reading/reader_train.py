"""Train the reader: clozes first, then human questions; exact resume; writes only what changed."""

import json
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retrieval.reading.reader import (
    CARD,
    FORMAT,
    TENSORS,
    Calibration,
    SpanModel,
    Window,
    collate,
    make_windows,
    new_span_model,
    open_tokenizer,
    put_tensors,
)
from retrieval.reading.reader_data import Example
from retrieval.storage.durable import rename, write_file
from retrieval.training.loss_curve import (
    CURVE,
    PICTURE,
    LossPoint,
    draw_curve,
    read_curve,
    write_curve,
)
from retrieval.training.training_state import restore_state, save_state, synchronise
from retrieval.types import RetrievalError

STATE = "state.safetensors"


@dataclass(frozen=True, slots=True)
class ReaderTraining:
    """Settings of one run. `learning_rate` is the peak; it warms up linearly and decays to zero."""

    batch_size: int = 16
    window_tokens: int = 144  # longer passages are cut to a part that holds the answer
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    warm_up: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 1
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class Features:
    """One window of one example and its first and last answer token; 0, 0 means no answer."""

    window: Window
    first: int
    last: int


def train_reader(
    examples: Sequence[Example],
    encoder_folder: Path,
    out: Path,
    settings: ReaderTraining = ReaderTraining(),
    report: Callable[[int, int, float], None] = lambda step, steps, loss: None,
    start: Path | None = None,
) -> SpanModel:
    """Train on `examples` in the order given (a curriculum), once; continues where `out` stopped.

    `start` is a reader to go on from instead of the encoder alone. Writes `out/state.safetensors`
    every `save_every` steps, the losses so far beside it, and at the end their picture. Raises
    RetrievalError for no examples.
    """
    if not examples:
        raise RetrievalError("no examples to train the reader on; give a question file")
    torch.manual_seed(settings.seed)
    model = new_span_model(encoder_folder)
    if start is not None:
        put_tensors(model, start)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    for parameter in model.encoder.embeddings.parameters():
        parameter.requires_grad_(False)  # what is shipped stays small: the layers and the head
    optimizer = _optimizer(model, settings)
    batches = list(_batches(examples, settings))
    out.mkdir(parents=True, exist_ok=True)
    done = restore_state(out / STATE, model, optimizer)
    curve = read_curve(out / CURVE)[:done]
    tokenizer = open_tokenizer(encoder_folder)
    model.train()
    for step in range(done, len(batches)):
        began = time.perf_counter()
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout repeats after a resume
        batch = [
            _features(tokenizer, example, settings.window_tokens, settings.seed + step)
            for example in batches[step]
        ]
        share = _rate(step, len(batches), settings)
        loss = _step(model, optimizer, batch, settings, share)
        seconds = time.perf_counter() - began
        curve.append(LossPoint(step + 1, loss, share * settings.learning_rate, seconds))
        report(step + 1, len(batches), loss)
        if (step + 1) % settings.save_every == 0 or step + 1 == len(batches):
            write_curve(out / CURVE, curve)  # first: it may be ahead of the state, never behind
            save_state(out / STATE, model, optimizer, step + 1)
    draw_curve(curve, out / PICTURE)
    model.eval().cpu()
    return model


def _optimizer(model: SpanModel, settings: ReaderTraining) -> torch.optim.Optimizer:
    layers = [p for p in model.encoder.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in layers if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in layers if p.ndim == 1], "weight_decay": 0.0},
        {"params": list(model.head.parameters()), "weight_decay": 0.0, "head": True},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.98))


def _batches(examples: Sequence[Example], settings: ReaderTraining) -> Iterator[list[Example]]:
    """Batches of similar length; the order of the curriculum is kept but for windows of 64."""
    rng = random.Random(settings.seed)
    block = settings.batch_size * 64
    for begin in range(0, len(examples), block):
        part = sorted(examples[begin : begin + block], key=lambda e: len(e.passage))
        batches = [
            part[at : at + settings.batch_size] for at in range(0, len(part), settings.batch_size)
        ]
        rng.shuffle(batches)
        yield from batches


def _features(tokenizer: Any, example: Example, longest: int, seed: int) -> Features:
    """A window that holds the answer; a random one of the passage where there is none."""
    windows = make_windows(tokenizer, example.question, example.passage, longest=longest)
    placed = [(window, *_answer_tokens(window, example.span)) for window in windows]
    holding = [one for one in placed if one[1] > 0] or placed
    return Features(*random.Random(seed).choice(holding))


def _answer_tokens(window: Window, span: tuple[int, int] | None) -> tuple[int, int]:
    """The first and last token of the character span, or (0, 0) if it is not wholly inside."""
    if span is None:
        return 0, 0
    inside = [
        token
        for token, offset in enumerate(window.offsets)
        if offset is not None and offset[0] < span[1] and offset[1] > span[0]
    ]
    if not inside:
        return 0, 0
    first, last = window.offsets[inside[0]], window.offsets[inside[-1]]
    whole = first is not None and last is not None and first[0] <= span[0] and last[1] >= span[1]
    return (inside[0], inside[-1]) if whole else (0, 0)


def _rate(step: int, steps: int, settings: ReaderTraining) -> float:
    warm = max(1, int(settings.warm_up * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def _step(
    model: SpanModel,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Features],
    settings: ReaderTraining,
    rate: float,
) -> float:
    for group in optimizer.param_groups:
        peak = settings.head_learning_rate if group.get("head") else settings.learning_rate
        group["lr"] = peak * rate
    device = model.head.weight.device
    windows = collate([features.window for features in batch])
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        scores = model(*(tensor.to(device) for tensor in windows))  # (2, B, T)
    loss = span_loss(scores.float(), batch)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], settings.clip)
    optimizer.step()
    return float(loss.detach())


def span_loss(scores: Tensor, batch: Sequence[Features]) -> Tensor:
    """Mean cross-entropy of the first and the last answer token; scores: (2, B, T)."""
    first = torch.tensor([features.first for features in batch], device=scores.device)
    last = torch.tensor([features.last for features in batch], device=scores.device)
    loss: Tensor = nn.functional.cross_entropy(scores[0], first)
    return (loss + nn.functional.cross_entropy(scores[1], last)) / 2


def save_reader(
    out: Path,
    model: SpanModel,
    calibration: Calibration,
    window_tokens: int,
    card: dict[str, Any],
) -> None:
    """Write the trained tensors as float16, and `card` with what the reader needs, by rename.

    A reader reads best in windows of the size it was trained with.
    """
    from safetensors.torch import save_file

    trained = {
        name: parameter.detach().half().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
    save_file(trained, out / "reader.tmp")
    synchronise(out / "reader.tmp")
    rename(out / "reader.tmp", out / TENSORS)
    needed = {"calibration": asdict(calibration), "window_tokens": window_tokens}
    whole = {"format": FORMAT, **needed, **card}
    write_file(out / CARD, (json.dumps(whole, indent=2) + "\n").encode())
