"""Prefill and decoding of our engine beside transformers and llama.cpp, alternating in one run.

    python -m benchmarks.engine.bench_jamba [--models 52M 304M] [--rounds 3] [--tokens 64]
                                     [--peers transformers llama.cpp] [--json]

Two reference models with seeded random weights (reference_models.py), float32 and int8.
Beside each median stands how close it is to the floor: operations over the measured rate of matrix
products, bytes over the measured bandwidth.
"""

import argparse
import json
import platform
import statistics
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.engine import floors, llama_cpp, peers
from benchmarks.engine.reference_models import MODELS, make
from jamba.cache.snapshots import SnapshotStore
from jamba.config import Quantisation
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams

OURS, OURS_INT8 = "orbweaver", "orbweaver int8"
THEIRS, LLAMA, LLAMA_Q8 = "transformers", "llama.cpp f32", "llama.cpp Q8_0"
PROMPTS = {"52M": 2048, "304M": 512}  # tokens
QUESTION = 32  # tokens behind a cached prompt


@dataclass(frozen=True, slots=True)
class Aim:
    """How many times as fast one engine should be as another."""

    model: str
    phase: str
    engine: str
    peer: str
    ratio: float


AIMS = (
    Aim("52M", "prefill", OURS, THEIRS, 4.0),
    Aim("52M", "prefill", OURS, LLAMA, 1.3),
    Aim("304M", "prefill", OURS, THEIRS, 2.0),
    Aim("304M", "prefill", OURS, LLAMA, 1.1),
    *(Aim(model, "decode", OURS, THEIRS, 3.5) for model in MODELS),
    *(Aim(model, "decode", OURS, LLAMA, 1.0) for model in MODELS),
    *(Aim(model, "decode", OURS_INT8, OURS, 2.0) for model in MODELS),
    *(Aim(model, "decode", OURS_INT8, LLAMA_Q8, 1.0) for model in MODELS),
)


def main() -> None:
    """Run the rounds; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--peers", nargs="*", default=["transformers", "llama.cpp"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    machine = floors.measure()
    results = {}
    for name in options.models:
        with tempfile.TemporaryDirectory() as folder:
            make(name, Path(folder))
            results[name] = measure(name, Path(folder), machine, options)
    found = {
        "machine": {"cpu": platform.processor() or platform.machine(), **asdict(machine)},
        "threads": torch.get_num_threads(),
        "rounds": options.rounds,
        "models": results,
        "aims": [asdict(aim) | {"measured": reached(aim, results)} for aim in AIMS],
    }
    print(json.dumps(found)) if options.json else show(found)


def measure(
    name: str, folder: Path, machine: floors.Machine, options: argparse.Namespace
) -> dict[str, Any]:
    """Medians of every engine over the rounds, with the floors, on one model."""
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(3, MODELS[name].vocab_size, (PROMPTS[name],), generator=generator)
    runs = engines(folder, options.peers)
    for run in runs.values():
        run(prompt[:64].tolist(), 4)  # compiles and warms up
    rates: dict[str, list[peers.Rates]] = {engine: [] for engine in runs}
    for _ in range(options.rounds):
        for engine, run in runs.items():
            rates[engine].append(run(prompt.tolist(), options.tokens))
    medians = {
        engine: {
            "prefill": statistics.median(prefill for prefill, _ in pairs),
            "decode": statistics.median(decode for _, decode in pairs),
        }
        for engine, pairs in rates.items()
    }
    return {
        "prompt_tokens": PROMPTS[name],
        "engines": medians,
        "floors": at_best(folder, machine),
        "cache": cached_times(folder, prompt.tolist()),
    }


def engines(folder: Path, chosen: list[str]) -> dict[str, peers.Run]:
    """Our engine twice, and the chosen peers on the same weights."""
    runs = {OURS: peers.ours(folder, Quantisation.NONE)}
    runs[OURS_INT8] = peers.ours(folder, Quantisation.ALL)
    if "transformers" in chosen:
        runs[THEIRS] = peers.transformers(folder)
    if "llama.cpp" in chosen:
        programs = llama_cpp.build()
        file = llama_cpp.write_gguf(folder, folder / "f32.gguf")
        runs[LLAMA] = peers.of_llama_cpp(programs, file)
        runs[LLAMA_Q8] = peers.of_llama_cpp(programs, llama_cpp.quantise(programs, file))
    return runs


def at_best(folder: Path, machine: floors.Machine) -> dict[str, dict[str, float]]:
    """Tokens a second that the machine's rates allow us, and the bytes that a token reads."""
    found = {}
    for engine, kind in ((OURS, Quantisation.NONE), (OURS_INT8, Quantisation.ALL)):
        model = load_model(folder, quantisation=kind)
        size = floors.token_bytes(model)
        found[engine] = {"token_bytes": size, "decode": machine.bandwidth / size}
        if kind is Quantisation.NONE:
            found[engine]["prefill"] = machine.flops / floors.token_flops(model)
    return found


def cached_times(folder: Path, prompt: list[int]) -> dict[str, float]:
    """Seconds to the first token: the prompt new, another question behind it, and a repeat."""
    head = len(prompt) - QUESTION
    params = SamplingParams(max_tokens=1, ignore_eos=True)
    times = {}
    with Engine(load_model(folder), SnapshotStore()) as engine:
        other = [*prompt[:head], *reversed(prompt[head:])]
        for name, ids in (("new", prompt), ("other_question", other), ("repeat", prompt)):
            request = engine.submit(ids, params, boundaries=[head])
            list(engine.stream(request))
            times[f"{name}_ttft_s"] = request.metrics.ttft_s or 0.0
    return times


def reached(aim: Aim, results: dict[str, Any]) -> float | None:
    """The ratio that an aim is about; None where one of its engines was not run."""
    rates = results.get(aim.model, {}).get("engines", {})
    if aim.engine not in rates or aim.peer not in rates:
        return None
    return float(rates[aim.engine][aim.phase] / rates[aim.peer][aim.phase])


def show(found: dict[str, Any]) -> None:
    """The result as tables on standard output."""
    machine = found["machine"]
    print(
        f"{found['threads']} threads, {found['rounds']} rounds; matrix products "
        f"{machine['flops'] / 1e9:.0f} GFLOP/s, reading {machine['bandwidth'] / 1e9:.1f} GB/s"
    )
    for name, result in found["models"].items():
        print(f"\n{name}, prompt of {result['prompt_tokens']} tokens, medians in tokens a second")
        print(f"{'':16}{'prefill':>10}{'of floor':>10}{'decode':>10}{'of floor':>10}{'GB/s':>8}")
        for engine, rates in result["engines"].items():
            print(f"{engine:16}" + line(rates, result["floors"].get(engine, {})))
        for case, seconds in result["cache"].items():
            print(f"{case:24}{seconds:10.4f}")
    print(f"\n{'aim':52}{'at least':>10}{'measured':>10}")
    for aim in found["aims"]:
        text = f"{aim['model']} {aim['phase']}, {aim['engine']} over {aim['peer']}"
        ratio = "not run" if aim["measured"] is None else f"{aim['measured']:.2f}"
        print(f"{text:52}{aim['ratio']:10.1f}{ratio:>10}")


def line(rates: dict[str, float], floor: dict[str, float]) -> str:
    """One engine's rates, and for ours the share of the floor and the bandwidth reached."""
    cells = []
    for phase in ("prefill", "decode"):
        cells.append(f"{rates[phase]:10.1f}")
        cells.append(f"{rates[phase] / floor[phase]:10.0%}" if phase in floor else " " * 10)
    if "token_bytes" in floor:
        cells.append(f"{rates['decode'] * floor['token_bytes'] / 1e9:8.1f}")
    return "".join(cells)


if __name__ == "__main__":
    main()
