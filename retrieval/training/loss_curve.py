"""The loss of a training, step by step: kept as JSON lines, drawn as a picture."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from retrieval.storage.durable import write_file

CURVE, PICTURE = "loss.jsonl", "loss.png"


@dataclass(frozen=True, slots=True)
class LossPoint:
    """The loss of one step's batch, before its update."""

    step: int  # from 1
    loss: float
    learning_rate: float
    seconds: float


def read_curve(path: Path) -> list[LossPoint]:
    """The points of a loss.jsonl, in order; none if there is no file."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [LossPoint(**json.loads(line)) for line in lines]


def write_curve(path: Path, curve: Sequence[LossPoint]) -> None:
    """Write all points as JSON lines, complete or not at all."""
    write_file(path, "".join(json.dumps(asdict(point)) + "\n" for point in curve).encode())


def draw_curve(curve: Sequence[LossPoint], path: Path) -> None:
    """The loss by step as a picture, with its mean over a twentieth of the run."""
    import numpy as np
    from matplotlib.figure import Figure

    steps, losses = [p.step for p in curve], [p.loss for p in curve]
    width = max(1, len(losses) // 20)
    mean = np.convolve(losses, np.ones(width) / width, "valid")
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, losses, linewidth=0.6, alpha=0.5, label="each batch")
    axes.plot(steps[width - 1 :], mean, label=f"mean of {width} batches")
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend()
    figure.savefig(path, dpi=120)
