"""Many streams at once: throughput against one at a time, and how long each has to wait.

    python -m benchmarks.engine.bench_batch [--streams 1,4,16,64] [--prompt 128] [--tokens 64]
        [--json]

The 52 M model; every stream has a prompt of its own, and all come at once. First all requests are
served one after another, then together: the ratio of their tokens a second is the gain.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.engine.bench_cache import ids
from benchmarks.engine.reference_models import make
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams
from jamba.scheduler import Limits

NAME = "52M"
AIM = (16, 2.5)  # streams, and how many times the tokens a second of one at a time
ALONE = 4  # requests that are served one after another, for the comparison


def main() -> None:
    """Measure each number of streams; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", default="1,4,16,64")
    parser.add_argument("--prompt", type=int, default=128)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    counts = [int(count) for count in options.streams.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(make(NAME, Path(folder)))
        with Engine(model, limits=Limits(running=max(counts))) as engine:
            together(engine, 2, 64, 4)  # compiles and warms up
            result = measure(engine, counts, options.prompt, options.tokens)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def measure(engine: Engine, counts: list[int], prompt: int, tokens: int) -> dict[str, Any]:
    """For each number of streams its figures; `gain` is over one request after another."""
    alone = [together(engine, 1, prompt, tokens, seed=each) for each in range(ALONE)]
    rate = statistics.median(each["tokens_s"] for each in alone)
    rows = []
    for count in counts:
        row = together(engine, count, prompt, tokens)
        rows.append({**row, "gain": row["tokens_s"] / rate})
    return {"prompt": prompt, "tokens": tokens, "alone_tokens_s": rate, "rows": rows}


def together(
    engine: Engine, count: int, prompt: int, tokens: int, seed: int = 0
) -> dict[str, float]:
    """So many streams that come at once, each read by a thread of its own."""
    arrivals: list[list[float]] = [[] for _ in range(count)]
    params = SamplingParams(max_tokens=tokens, ignore_eos=True)

    def read(place: int) -> None:
        request = engine.submit(ids(prompt, 1000 * seed + place), params, user=str(place))
        for _ in engine.stream(request):
            arrivals[place].append(time.perf_counter())

    threads = [Thread(target=read, args=(place,)) for place in range(count)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    firsts = [times[0] - began for times in arrivals]
    gaps = [b - a for times in arrivals for a, b in itertools.pairwise(times)]
    return {
        "streams": count,
        "tokens_s": count * tokens / seconds,
        "ttft_p50_s": quantile(firsts, 0.50),
        "ttft_p95_s": quantile(firsts, 0.95),
        "gap_p50_s": quantile(gaps, 0.50),
        "gap_p95_s": quantile(gaps, 0.95),
        "gap_longest_s": max(gaps),
    }


def quantile(values: list[float], share: float) -> float:
    """The smallest value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def show(result: dict[str, Any]) -> None:
    """The result as a table in Markdown."""
    print(
        f"{result['prompt']} tokens read, {result['tokens']} written; "
        f"one after another {result['alone_tokens_s']:.0f} tokens/s\n"
    )
    print("| streams | tokens/s | gain | first p50, s | p95 | between p50, ms | p95 | longest |")
    print("|---|---|---|---|---|---|---|---|")
    for row in result["rows"]:
        between = [1000 * row[f"gap_{name}_s"] for name in ("p50", "p95", "longest")]
        print(
            f"| {row['streams']} | {row['tokens_s']:.0f} | {row['gain']:.2f} "
            f"| {row['ttft_p50_s']:.2f} | {row['ttft_p95_s']:.2f} |"
            + "".join(f" {each:.0f} |" for each in between)
        )
    streams, gain = AIM
    reached = [row["gain"] for row in result["rows"] if row["streams"] == streams]
    if reached:
        print(f"\naim at {streams} streams: {gain}; reached: {reached[0]:.2f}")


if __name__ == "__main__":
    main()
