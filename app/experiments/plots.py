"""Curves as data, and as pictures: what is drawn is decided elsewhere."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

LABEL = 48  # characters of a curve's name
WIDE = 8  # a largest x that is so many times the least is shown on a scale of powers


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a curve, with its 95 % interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Points from left to right; curves of one `colour` belong together."""

    label: str
    points: tuple[Point, ...]
    colour: int = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture and the name of its file; with `ticks`, every x that occurs is marked."""

    name: str
    title: str
    x: str
    y: str
    curves: tuple[Curve, ...]
    ticks: bool = True


def draw(plot: Plot) -> bytes:
    """The plot as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(True, linewidth=0.3)
    for curve in plot.curves:
        _add(axes, curve)
    _scale(axes, plot)
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    _explain(axes, plot.curves)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=120)
    return png.getvalue()


def _add(axes: Any, curve: Curve) -> None:
    points = curve.points
    style = {"color": f"C{curve.colour % 10}", "linestyle": "--" if curve.dashed else "-"}
    marker = "o" if len(points) < 20 else None
    axes.plot([p.x for p in points], [p.y for p in points], marker=marker, markersize=4, **style)
    bars = [p for p in points if p.low is not None and p.high is not None]
    if bars:
        axes.vlines(
            [p.x for p in bars],
            [p.low for p in bars],
            [p.high for p in bars],
            color=style["color"],
            linewidth=0.9,
            alpha=0.5,
        )


def _scale(axes: Any, plot: Plot) -> None:
    places = sorted({point.x for curve in plot.curves for point in curve.points})
    if places[0] > 0 and places[-1] >= WIDE * places[0]:
        axes.set_xscale("log")
    if plot.ticks:
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.minorticks_off()


def _explain(axes: Any, curves: Sequence[Curve]) -> None:
    """Which line is which; names are anyone's, so that $ and _ must mean themselves."""
    if len(curves) == 1:
        return
    names = [curve.label.lstrip("_")[:LABEL] or "a run" for curve in curves]
    legend = axes.legend(axes.get_lines(), names, fontsize="small")
    for text in legend.get_texts():
        text.set_parse_math(False)
