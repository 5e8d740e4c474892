"""Train a cross-encoder to put the right passage above a wrong one; exact resume.

Model and tokenizer are sentence-transformers'. As for encoders, batch and dropout follow from the
seed and the step, and the state is one file.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retrieval.training.training_batches import Batches, Triple
from retrieval.training.training_state import restore_state, save_state

STATE = "state.safetensors"
Report = Callable[[int, int, float], None]  # step, steps, loss


@dataclass(frozen=True, slots=True)
class RerankerTraining:
    """Settings of one run. `learning_rate` is the peak; it warms up linearly and decays to zero."""

    steps: int = 500
    batch_size: int = 8  # questions, each with a right and a wrong passage
    longest: int = 256  # tokens of question and passage together
    learning_rate: float = 3e-5
    warm_up: float = 0.1
    clip: float = 1.0
    seed: int = 1
    save_every: int = 50


def new_cross_encoder(base: Path, work: Path, settings: RerankerTraining) -> Any:
    """A cross-encoder on the weights in `base`, an encoder's or a cross-encoder's folder.

    An encoder gets a new head. Through `work`, because a folder of sentence-transformers says that
    it pools and normalises, which a cross-encoder does not.
    """
    from sentence_transformers import CrossEncoder
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = work / "start"
    torch.manual_seed(settings.seed)
    options = {"num_labels": 1, "local_files_only": True}
    model = AutoModelForSequenceClassification.from_pretrained(str(base), **options)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(base), local_files_only=True).save_pretrained(folder)
    return CrossEncoder(str(folder), max_length=settings.longest, local_files_only=True)


def train_reranker(
    model: Any, batches: Batches, work: Path, settings: RerankerTraining, report: Report
) -> None:
    """Train in place, from where an earlier run in `work` stopped; `report` hears every step."""
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    done = restore_state(work / STATE, model, optimizer)
    model.train()
    for step in range(done, settings.steps):
        torch.manual_seed(settings.seed * 1_000_003 + step)  # dropout repeats after a resume
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _share(step, settings)
        loss = pair_loss(*pair_scores(model, batches.batch(step)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        optimizer.step()
        report(step + 1, settings.steps, float(loss.detach()))
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.steps:
            save_state(work / STATE, model, optimizer, step + 1)
    model.eval()


def pair_scores(model: Any, batch: Sequence[Triple]) -> tuple[Tensor, Tensor]:
    """The scores of the right and of the wrong passages, (B,) each."""
    from sentence_transformers.util import batch_to_device

    pairs = [(t.query, t.positive) for t in batch] + [(t.query, t.negative) for t in batch]
    features = batch_to_device(model.preprocess(pairs), model.device)
    scores: Tensor = model(features)["scores"].view(-1)  # (2B,)
    return scores[: len(batch)], scores[len(batch) :]


def pair_loss(right: Tensor, wrong: Tensor) -> Tensor:
    """Mean of log(1 + exp(wrong - right)): the cross-entropy of choosing the right one of two."""
    return nn.functional.softplus(wrong - right).mean()


@torch.inference_mode()
def right_first(model: Any, batches: Batches, steps: int) -> float:
    """Percent of the examples of these batches whose right passage scores higher."""
    model.eval()
    found = [right > wrong for right, wrong in _scored(model, batches, steps)]
    return 100 * float(torch.cat(found).float().mean())


def _scored(model: Any, batches: Batches, steps: int) -> list[tuple[Tensor, Tensor]]:
    return [pair_scores(model, batches.batch(step)) for step in range(steps)]


def _share(step: int, settings: RerankerTraining) -> float:
    """The share of the peak learning rate at a step: up in a line, then down to zero."""
    warm = max(1, int(settings.warm_up * settings.steps))
    if step < warm:
        return (step + 1) / warm
    return (settings.steps - step) / max(1, settings.steps - warm)
