"""Curves of retrieval runs: recall against k, and how long a question takes."""

from collections.abc import Mapping, Sequence

from app.experiments.plots import Curve, Plot, Point

JUDGED, ANSWERS = "judged documents found (R@k)", "an answer's words found (AnswerString@k)"
KINDS = {"judged": JUDGED, "answer_string": ANSWERS}


def recall_plot(runs: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Plot:
    """Percent against k for each run and kind of recall, as `metrics.json` has them (`curves`)."""
    curves = [
        Curve(
            f"{run}: {KINDS[kind]}" if len(runs) > 1 else KINDS[kind],
            tuple(Point(int(k), value) for k, value in curve.items()),
            number,
            dashed=KINDS[kind] is ANSWERS,
        )
        for number, (run, kinds) in enumerate(runs.items())
        for kind, curve in kinds.items()
        if curve
    ]
    return Plot("recall", "Recall", "k, passages looked at", "percent", tuple(curves))


def latency_plot(seconds: Sequence[float]) -> Plot:
    """Which share of the questions was answered in which time."""
    ordered = sorted(1000 * each for each in seconds)
    shares = [100 * (at + 1) / len(ordered) for at in range(len(ordered))]
    points = tuple(Point(*each) for each in zip(ordered, shares, strict=True))
    most = Curve("95 %", (Point(ordered[0], 95), Point(ordered[-1], 95)), 7, dashed=True)
    x, y = "milliseconds, one question at a time", "percent of the questions"
    return Plot("latency", "Latency", x, y, (Curve("answered", points), most), ticks=False)
