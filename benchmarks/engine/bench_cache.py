"""What a kept state saves: seconds to the first token, from memory and in a new process from disk.

    python -m benchmarks.engine.bench_cache [--context 8192] [--question 32] [--rounds 3] [--json]

The 52 M model reads a context, then a question behind it; another question goes on from the
context's state in memory, an exact repeat reads nothing, and both come again in a process that has
only the folder. Each is compared with a full prefill of the same prompt.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.engine.reference_models import make
from jamba.cache.snapshots import SnapshotStore
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams

NAME, STATES = "52M", "states"
AIMS = {"memory": 50.0, "disk": 20.0, "repeat": 200.0}  # times sooner than a full prefill
ONE = SamplingParams(max_tokens=1, ignore_eos=True)


def main() -> None:
    """Measure in this process and in a new one for each round; print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--question", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)  # in the new process
    options = parser.parse_args()
    if options.folder is not None:
        print(json.dumps(after_restart(options.folder, options.context, options.question)))
        return
    result = measure(options.context, options.question, options.rounds)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def measure(context: int, question: int, rounds: int) -> dict[str, Any]:
    """Medians in seconds, and how many times sooner than a full prefill each is."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            make(NAME, Path(folder))
            found = first_process(Path(folder), context, question)
            command = [
                sys.executable, "-m", "benchmarks.engine.bench_cache", "--folder", folder,
                "--context", str(context), "--question", str(question),
            ]  # fmt: skip
            found |= json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        for name, seconds in found.items():
            times.setdefault(name, []).append(seconds)
    medians = {name: statistics.median(each) for name, each in times.items()}
    sooner = {name: medians["full"] / medians[name] for name in AIMS}
    return {"context": context, "question": question, "rounds": rounds} | {
        "seconds": medians,
        "times_sooner": sooner,
        "aims": AIMS,
    }


def first_process(folder: Path, context: int, question: int) -> dict[str, float]:
    """A prompt that is new, another question about it, and that once more; states are kept."""
    store = SnapshotStore(folder=folder / STATES)
    with Engine(load_model(folder), store) as engine:
        first_token(engine, ids(64, seed=9), [])  # compiles and warms up
        full = first_token(engine, prompt(context, question, seed=1), [context])
        memory = first_token(engine, prompt(context, question, seed=2), [context])
        repeat = first_token(engine, prompt(context, question, seed=2), [context])
    return {"full": full, "memory": memory, "repeat": repeat, "bytes": float(store.used_bytes)}


def after_restart(folder: Path, context: int, question: int) -> dict[str, float]:
    """A question that is new, then a prompt of the first process, with only the folder left."""
    with Engine(load_model(folder), SnapshotStore(folder=folder / STATES)) as engine:
        first_token(engine, ids(64, seed=8), [])  # another than before, or nothing would be read
        disk = first_token(engine, prompt(context, question, seed=3), [context])
    with Engine(load_model(folder), SnapshotStore(folder=folder / STATES)) as engine:
        first_token(engine, ids(64, seed=7), [])
        repeat = first_token(engine, prompt(context, question, seed=2), [context])
    return {"disk": disk, "repeat_from_disk": repeat}


def first_token(engine: Engine, prompt_ids: list[int], boundaries: list[int]) -> float:
    """Seconds from submitting a prompt to its first token."""
    request = engine.submit(prompt_ids, ONE, boundaries=boundaries)
    list(engine.stream(request))
    return request.metrics.ttft_s or 0.0


def prompt(context: int, question: int, seed: int) -> list[int]:
    """The context, which is always the same, and a question."""
    return ids(context, seed=0) + ids(question, seed)


def ids(count: int, seed: int) -> list[int]:
    """Token ids drawn by a seed."""
    rng = random.Random(seed)
    return [rng.randrange(3, 8192) for _ in range(count)]


def show(result: dict[str, Any]) -> None:
    """The result as a table in Markdown."""
    print(f"{result['context']} + {result['question']} tokens, median of {result['rounds']}\n")
    print("| | first token, ms | times sooner | aim |")
    print("|---|---|---|---|")
    seconds = dict(result["seconds"])
    print(f"\nstate and prompts kept: {seconds.pop('bytes') / 2**20:.1f} MiB", file=sys.stderr)
    for name, value in seconds.items():
        sooner = seconds["full"] / value
        aim = f"{result['aims'][name]:.0f}" if name in result["aims"] else ""
        print(f"| {name} | {1000 * value:.1f} | {sooner:.1f} | {aim} |")


if __name__ == "__main__":
    main()
