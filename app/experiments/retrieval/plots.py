"""Pictures of retrieval runs: recall against k, and how long a question takes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

JUDGED, ANSWERS = "judged documents found (R@k)", "an answer's words found (AnswerString@k)"
STYLES = {JUDGED: "-", ANSWERS: "--"}


def plot_recall(curves: Mapping[str, Mapping[str, Mapping[int, float]]], path: Path) -> None:
    """Percent against k for each run and kind of recall; ImportError without matplotlib.

    `curves[run][kind][k]`; kinds are JUDGED and ANSWERS and keep their own line style and name.
    """
    figure, axes = _canvas()
    for number, (run, kinds) in enumerate(curves.items()):
        for kind, curve in kinds.items():
            label = f"{run}: {kind}" if len(curves) > 1 else kind
            axes.plot(
                list(curve), list(curve.values()), STYLES[kind], color=f"C{number}", label=label
            )
    axes.set_xscale("log")
    ticks = sorted({k for kinds in curves.values() for curve in kinds.values() for k in curve})
    axes.set_xticks(ticks, [str(k) for k in ticks])
    axes.minorticks_off()
    axes.set_xlabel("k, passages looked at")
    axes.set_ylabel("percent")
    axes.legend()
    figure.savefig(path, dpi=120)


def plot_latency(seconds: Mapping[str, Sequence[float]], path: Path) -> None:
    """Which share of the questions was answered in which time; ImportError without matplotlib."""
    figure, axes = _canvas()
    for run, measured in seconds.items():
        ordered = sorted(1000 * each for each in measured)
        shares = [100 * (at + 1) / len(ordered) for at in range(len(ordered))]
        axes.step(ordered, shares, where="post", label=run)
    axes.axhline(95, color="0.7", linewidth=0.8)
    axes.set_xlabel("milliseconds, one question at a time")
    axes.set_ylabel("percent of the questions")
    axes.legend()
    figure.savefig(path, dpi=120)


def _canvas() -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, linewidth=0.3)
    return figure, axes
