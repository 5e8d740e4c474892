"""Train a Jamba model: next-token loss with load balancing, AdamW or Muon, warm-up, linear decay.

Step n sees the n-th batch and a learning rate that depends only on the step or the time spent, so
that a run continued from a saved state makes the same updates as one that was never stopped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba.config import JambaError
from jamba.network.experts import MixtureOfExperts
from jamba.network.model import Jamba
from jamba.state import CPU, Place
from jamba.training.data import Corpus, Rows
from jamba.training.muon import Muon
from jamba.training.training_state import Method, Point, Settings, load_state, save_state


@dataclass(frozen=True, slots=True)
class Losses:
    """Mean loss in nats a token: of all predicted tokens, and of those of answers alone."""

    tokens: float
    answers: float | None


def train(
    model: Jamba,
    corpus: Corpus,
    held_out: Rows,
    settings: Settings,
    saved: Path,
    report: Callable[[Point, float], None],
) -> list[Point]:
    """Train in place and return the run's history; `report` gets each point and the progress 0..1.

    The state is kept in the file `saved`, and a run goes on from there if it exists. Raises
    JambaError where it belongs to another run.
    """
    optimizers = new_optimizers(model, settings)
    history = load_state(saved, model, optimizers, settings) if saved.exists() else []
    last = history[-1] if history else Point(0, 0, 0.0, 0.0, 0.0)
    model.requires_grad_(True).train()
    for batch in islice(corpus.batches(settings.rows, settings.seed), last.step, None):
        if progress(settings, last) >= 1.0:
            break
        began = time.perf_counter()
        loss, balance = step(model, optimizers, batch, settings, progress(settings, last))
        last = Point(
            last.step + 1,
            last.tokens + batch.ids.size,
            last.seconds + time.perf_counter() - began,
            loss,
            balance,
        )
        if last.step % settings.save_every == 0 or progress(settings, last) >= 1.0:
            began = time.perf_counter()
            losses = evaluate(model, held_out)
            last = replace(last, held_out=losses.tokens, held_out_answers=losses.answers)
            last = replace(last, seconds=last.seconds + time.perf_counter() - began)
            save_state(saved, model, optimizers, settings, [*history, last])
        history.append(last)
        report(last, progress(settings, last))
    return history


def step(
    model: Jamba,
    optimizers: Sequence[torch.optim.Optimizer],
    batch: Rows,
    settings: Settings,
    done: float,
) -> tuple[float, float]:
    """One update on one batch, `done` (0..1) into the run; the losses of tokens and of balance."""
    for group in (group for optimizer in optimizers for group in optimizer.param_groups):
        group["lr"] = settings.learning_rate * learning_rate_factor(done, settings.warmup)
    with router_logits(model) as logits:
        loss = token_loss(model, batch)
    balance = load_balancing_loss(logits, _top_k(model)) if logits else torch.zeros(())
    model.zero_grad(set_to_none=True)
    (loss + settings.balance * balance).backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
    if not torch.isfinite(norm):
        raise JambaError("the gradient is not finite; lower the learning rate and train again")
    for optimizer in optimizers:
        optimizer.step()
    return loss.item(), balance.item()


def progress(settings: Settings, point: Point) -> float:
    """How much of the run is over, 0..1, by steps or by time, whichever is further."""
    by_step = point.step / settings.steps if settings.steps else 0.0
    by_time = point.seconds / 60 / settings.minutes if settings.minutes else 0.0
    return min(1.0, max(by_step, by_time))


def learning_rate_factor(done: float, warmup: float) -> float:
    """Linear up to 1 within the first `warmup` of the run, then linear down to 0 at its end."""
    if done < warmup:
        return max(done / warmup, 0.01)
    return (1.0 - done) / (1.0 - warmup)


def token_losses(model: Jamba, batch: Rows) -> tuple[Tensor, Tensor]:
    """The loss (B, T - 1) of predicting each token after the first, and the tokens' weights.

    A GPU multiplies in bfloat16; weights, states of scans and losses are float32 everywhere.
    """
    device = model.place.device
    ids, reset, weights = (
        torch.from_numpy(array).to(device) for array in (batch.ids, batch.reset, batch.weights)
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
        logits = model.head(model.hidden(ids, reset=reset)[:, :-1])  # (B, T - 1, V)
    expected = ids[:, 1:]
    losses = F.cross_entropy(logits.float().flatten(0, 1), expected.flatten(), reduction="none")
    return losses.view_as(expected), weights[:, 1:]


def token_loss(model: Jamba, batch: Rows) -> Tensor:
    """The weighted mean loss of a batch."""
    losses, weights = token_losses(model, batch)
    return (losses * weights).sum() / weights.sum().clamp(min=1e-6)


def evaluate(model: Jamba, rows: Rows) -> Losses:
    """Losses of packed rows, without gradients; answers are the tokens that weigh more than 1."""
    found = []
    with torch.no_grad():
        for first in range(len(rows)):
            found.append(token_losses(model, rows.take(slice(first, first + 1))))
    losses = torch.cat([losses.flatten() for losses, _ in found])
    weights = torch.cat([weights.flatten() for _, weights in found])
    answers = losses[weights > 1]
    return Losses(
        losses[weights > 0].mean().item(), answers.mean().item() if len(answers) else None
    )


@contextmanager
def router_logits(model: Jamba) -> Iterator[list[Tensor]]:
    """The logits (tokens, experts) that each router gives while the context is open."""
    found: list[Tensor] = []
    hooks = [
        module.router.register_forward_hook(lambda _m, _args, output: found.append(output))
        for module in model.modules()
        if isinstance(module, MixtureOfExperts)
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def load_balancing_loss(logits: Sequence[Tensor], top_k: int) -> Tensor:
    """Mean over layers of experts * sum(share of the choices * mean probability); 1 if balanced.

    The loss of Switch Transformers (arXiv 2101.03961, section 2.2) for the top k instead of one.
    """
    losses = []
    for layer in logits:
        probabilities = torch.softmax(layer, dim=-1, dtype=torch.float32)  # (tokens, experts)
        chosen = torch.topk(probabilities, top_k, dim=-1).indices.flatten()
        shares = torch.bincount(chosen, minlength=layer.shape[-1]) / len(chosen)
        losses.append(layer.shape[-1] * (shares * probabilities.mean(0)).sum())
    return torch.stack(losses).mean()


def active_parameters(model: Jamba) -> int:
    """Weights that one token is multiplied with: its experts only; the head, not the embedding."""
    count = model.config.vocab_size * model.config.hidden_size
    for name, parameter in model.model.layers.named_parameters():
        if parameter.ndim == 2 and not name.endswith("A_log"):
            share = model.config.num_experts_per_tok / model.config.num_experts
            count += round(parameter.numel() * (share if ".experts." in name else 1))
    return count


def gemm_rate(seconds: float = 1.0, place: Place = CPU) -> float:
    """The rate of matrix products as it is now, in the type of `place`: FLOP/s."""
    size = 1024 if place == CPU else 8192  # a smaller one leaves a GPU idle
    a, b = torch.randn(2, size, size, dtype=place.dtype, device=place.device)
    (a @ b)[0, 0].item()
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        (a @ b)[0, 0].item()  # waits for a GPU
        count += 1
    return 2 * size**3 * count / (time.perf_counter() - began)


def new_optimizers(model: Jamba, settings: Settings) -> list[torch.optim.Optimizer]:
    """What updates the model; weight decay on matrices only, and not on A_log, which is a rate.

    Muon takes the projections of the layers; embedding, head and routers stay with AdamW.
    """
    decayed: list[Tensor] = []
    free: list[Tensor] = []
    projections: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if settings.method == Method.MUON and name.endswith("_proj.weight"):
            projections.append(parameter)
        elif parameter.ndim >= 2 and not name.endswith("A_log"):
            decayed.append(parameter)
        else:
            free.append(parameter)
    rest = torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": settings.weight_decay},
            {"params": free, "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        betas=(0.9, 0.95),
        fused=True,
    )
    if not projections:
        return [rest]
    return [rest, Muon(projections, settings.learning_rate, settings.weight_decay)]


def _top_k(model: Jamba) -> int:
    return model.config.num_experts_per_tok
