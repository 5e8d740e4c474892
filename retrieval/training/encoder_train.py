"""Contrastive training of an encoder: in-batch negatives at any batch size, exact resume.

The model, the loss and its cached gradients are sentence-transformers'. The loop is ours because
its trainer keeps its checkpoints in pickles and writes them in place, where a kill can leave half
of one; here batch and dropout follow from the seed and the step, and the state is one file.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from retrieval.training.loss_curve import CURVE, LossPoint, read_curve, write_curve
from retrieval.training.training_batches import Batches, Triple
from retrieval.training.training_state import restore_state, save_state

STATE = "state.safetensors"
UNIT_SCALE = 20.0  # what sentence-transformers' encoders of unit length were trained with


@dataclass(frozen=True, slots=True)
class EncoderTraining:
    """Settings of one run; the paper's are 200,000 steps of 1,024 queries, the rest as here.

    `mini_batch` texts are in memory at a time and change nothing but the speed. The learning rate
    rises over `warm_up` of the steps and falls to zero. Scores are multiplied by `scale`; None is
    1, raw dot products as in the paper, or 20 where the model gives vectors of unit length. Texts
    are cut at `max_tokens` while training; None reads as far as the encoder does.
    """

    steps: int = 500
    batch_size: int = 64
    mini_batch: int = 16
    learning_rate: float = 2e-5
    warm_up: float = 0.01
    clip: float = 2.0
    scale: float | None = None
    max_tokens: int | None = None
    seed: int = 1
    save_every: int = 25


Report = Callable[[LossPoint, int], None]


def train_encoder(
    model: Any, batches: Batches, work: Path, settings: EncoderTraining, report: Report
) -> list[LossPoint]:
    """Train a SentenceTransformer in place, from where an earlier run in `work` stopped.

    Returns the whole loss curve; `report` hears each new point and the number of steps.
    """
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
    from sentence_transformers.util import dot_score

    loss = CachedMultipleNegativesRankingLoss(
        model,
        _scale(model) if settings.scale is None else settings.scale,
        dot_score,
        mini_batch_size=settings.mini_batch,
    )
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.0)
    done = restore_state(work / STATE, model, optimizer)
    curve = read_curve(work / CURVE)[:done]
    with _training(model, settings.max_tokens):
        for step in range(done, settings.steps):
            started = time.perf_counter()
            torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout repeats after a resume
            rate = settings.learning_rate * _share(step, settings)
            value = _update(loss, optimizer, batches.batch(step), rate, settings.clip)
            curve.append(LossPoint(step + 1, value, rate, time.perf_counter() - started))
            report(curve[-1], settings.steps)
            if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
                write_curve(work / CURVE, curve)  # first: never behind the state
                save_state(work / STATE, model, optimizer, step + 1)
    return curve


@contextmanager
def _training(model: Any, max_tokens: int | None) -> Iterator[None]:
    """The model in training within, its texts cut at `max_tokens`; afterwards as it was."""
    limit = model.max_seq_length
    if max_tokens is not None:
        model.max_seq_length = min(max_tokens, limit or max_tokens)
    model.train()
    if model.device.type == "cpu":
        # The fused CPU kernel knows no attention dropout: without it a step takes two thirds.
        for module in model.modules():
            if type(module).__name__.endswith("SelfAttention"):
                module.eval()
    try:
        yield
    finally:
        model.max_seq_length = limit
        model.eval()


def _update(
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[Triple],
    rate: float,
    clip: float,
) -> float:
    """One step of AdamW on a batch; its loss before the step."""
    from sentence_transformers.util import batch_to_device

    model: Any = loss.model
    columns = zip(*((t.query, t.positive, t.negative) for t in batch), strict=True)
    features = [batch_to_device(model.preprocess(list(texts)), model.device) for texts in columns]
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
        value = loss(features, None)
        value.backward()  # the cached loss reads the texts again in here, so within autocast too
    nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return float(value.detach())


def _scale(model: Any) -> float:
    unit = any(type(module).__name__ == "Normalize" for module in model)
    return UNIT_SCALE if unit else 1.0


def _share(step: int, settings: EncoderTraining) -> float:
    """The share of the peak learning rate at a step: up in a line, then down to zero."""
    warm = max(1, int(settings.warm_up * settings.steps))
    if step < warm:
        return (step + 1) / warm
    return (settings.steps - step) / max(1, settings.steps - warm)
