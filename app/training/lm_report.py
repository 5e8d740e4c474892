"""What a training cost and reached: figures, one-line summaries, and the curve of its losses."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jamba.network.model import Jamba
from jamba.training.data import Corpus
from jamba.training.train import active_parameters
from jamba.training.training_state import Point


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run cost and reached; rates in tokens a second and FLOP a second."""

    parameters: int
    active_parameters: int
    tokens: int
    steps: int
    minutes: float
    tokens_per_second: float
    gemm_rate: float
    gemm_share: float
    loss: float
    held_out_loss: float
    held_out_answer_loss: float | None

    def to_dict(self) -> dict[str, Any]:
        """As it is printed with --json and kept in training.json."""
        return asdict(self)


def measure(model: Jamba, history: Sequence[Point], gemm: float) -> Measured:
    """What the run's history amounts to; `loss` is the mean of its last twentieth."""
    last = history[-1]
    tail = [point.loss for point in history[-max(1, len(history) // 20) :]]
    active = active_parameters(model)
    speed = last.tokens / last.seconds
    return Measured(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        active_parameters=active,
        tokens=last.tokens,
        steps=last.step,
        minutes=last.seconds / 60,
        tokens_per_second=speed,
        gemm_rate=gemm,
        gemm_share=speed * 6 * active / gemm,
        loss=sum(tail) / len(tail),
        held_out_loss=last.held_out or math.nan,
        held_out_answer_loss=last.held_out_answers,
    )


def draw_curve(history: Sequence[Point], path: Path) -> None:
    """The losses against tokens as a PNG; ImportError where matplotlib is not installed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    millions = [point.tokens / 1e6 for point in history]
    read = [point for point in history if point.held_out is not None]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.plot(millions, [point.loss for point in history], alpha=0.4, lw=0.7, label="training")
    for name, values in (
        ("held out", [point.held_out for point in read]),
        ("held out, answers", [point.held_out_answers for point in read]),
    ):
        axes.plot([point.tokens / 1e6 for point in read], values, marker=".", label=name)
    axes.set(xlabel="million tokens", ylabel="loss, nats a token", title="Training")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def describe(point: Point) -> str:
    """One line on where a run stands."""
    answers = "" if point.held_out_answers is None else f", answers {point.held_out_answers:.3f}"
    return (
        f"step {point.step}, {point.tokens / 1e6:.2f} M tokens, {point.seconds / 60:.1f} min, "
        f"{point.tokens / point.seconds:.0f} tokens/s: loss {point.loss:.3f}, "
        f"held out {point.held_out:.3f}{answers}"
    )


def summary(measured: Measured) -> str:
    """One line on what a run cost and reached."""
    return (
        f"{measured.tokens / 1e6:.2f} M tokens in {measured.minutes:.1f} minutes, "
        f"{measured.tokens_per_second:.0f} tokens/s, {measured.gemm_share:.0%} of the "
        f"{measured.gemm_rate / 1e9:.0f} GFLOP/s of matrix products; held-out loss "
        f"{measured.held_out_loss:.3f} nats a token"
    )


def plan_line(model: Jamba, corpus: Corpus, rate: float) -> str:
    """The arithmetic before the training: what can be expected at this machine's rate."""
    active = active_parameters(model)
    documents = sum(len(item.ids) for item in corpus.documents)
    text = sum(len(section) for section in corpus.sections)
    return (
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, "
        f"{active / 1e6:.1f} M active: {6 * active / 1e6:.0f} MFLOP a token; matrix products "
        f"run at {rate / 1e9:.0f} GFLOP/s, so at most {rate / 6 / active:.0f} tokens/s; "
        f"{documents / 1e6:.2f} M tokens of documents, {text / 1e6:.2f} M of plain text"
    )
