"""A long prompt on the 52 M model: seconds and memory from 8 K to 64 K tokens, and a cancellation.

    python -m benchmarks.engine.bench_long [--tokens 8192 16384 32768 65536] [--json]

Memory is the peak of the process above what it held with the model loaded. Aims: less than 1 GB at
64 K; from 8 K on, time grows no faster than attention's share of the operations lets it; a
cancelled prompt ends within a second. Linux only: the peak is read from /proc.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.engine.floors import token_flops
from benchmarks.engine.reference_models import make
from jamba.config import JambaConfig
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams

NAME = "52M"


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt length."""

    tokens: int
    seconds: float
    memory: int  # bytes above the loaded model
    operations: float  # against those of the shortest prompt


def main() -> None:
    """Measure each length, then cancel the longest."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[2**n for n in range(13, 17)])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = load_model(make(NAME, Path(folder)))
        with Engine(model) as engine:
            read(engine, 64)  # compiles
            per_token = token_flops(model)
            work = [operations(model.config, per_token, tokens) for tokens in options.tokens]
            rows = []
            for tokens, each in zip(options.tokens, work, strict=True):
                seconds, memory = read(engine, tokens)
                rows.append(Row(tokens, seconds, memory, each / work[0]))
            stopping = cancel(engine, options.tokens[-1])
    found = {"rows": [asdict(row) for row in rows], "cancelled_after_s": stopping}
    print(json.dumps(found)) if options.json else show(rows, stopping)


def prompt(tokens: int) -> list[int]:
    generator = torch.Generator().manual_seed(0)
    ids: list[int] = torch.randint(3, 8192, (tokens,), generator=generator).tolist()
    return ids


def read(engine: Engine, tokens: int) -> tuple[float, int]:
    """Seconds to the first token, and bytes that the peak lies above the start."""
    ids = prompt(tokens)
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
    request = engine.submit(ids, SamplingParams(max_tokens=1, ignore_eos=True))
    list(engine.stream(request))
    return request.metrics.ttft_s or 0.0, status("VmHWM") - before


def cancel(engine: Engine, tokens: int) -> float:
    """Seconds from cancelling a prompt that is being read until a short one has its answer."""
    request = engine.submit(prompt(tokens), SamplingParams(max_tokens=1))
    time.sleep(1.0)
    began = time.perf_counter()
    engine.cancel(request)
    read(engine, 8)
    return time.perf_counter() - began


def status(key: str) -> int:
    """A line of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(key))


def operations(config: JambaConfig, per_token: float, tokens: int) -> float:
    """Floating-point operations of a prompt: products for each token, attention for each pair."""
    attention = sum(config.is_attention(i) for i in range(config.num_hidden_layers))
    pairs = tokens * (tokens + 1) / 2
    return (
        per_token * tokens + 4 * attention * config.num_attention_heads * config.head_size * pairs
    )


def show(rows: list[Row], stopping: float) -> None:
    """The result as a table."""
    print(f"{'tokens':>8}{'seconds':>10}{'times':>8}{'operations':>12}{'MB':>8}")
    for row in rows:
        times = row.seconds / rows[0].seconds
        megabytes = row.memory / 1e6
        print(
            f"{row.tokens:8}{row.seconds:10.1f}{times:8.2f}{row.operations:12.2f}{megabytes:8.0f}"
        )
    print(f"cancelled, and free for the next after {stopping:.2f} s")


if __name__ == "__main__":
    main()
