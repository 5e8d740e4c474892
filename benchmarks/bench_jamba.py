"""Prefill, decode and first-token times of our engine beside transformers, alternating in one run.

    python -m benchmarks.bench_jamba [--rounds 3] [--prompt 2048] [--tokens 32] [--json]

The model has 52 M parameters with seeded random weights: hidden 512, 8 layers of which one is
attention, 4 experts (top 2) in every second layer, vocabulary 8192; float32.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import jamba
from jamba.engine import Engine
from jamba.model import Jamba, initialise
from jamba.sampling import SamplingParams
from jamba.snapshots import SnapshotStore
from jamba.weights import load_model, save_model

CONFIG = jamba.JambaConfig(
    vocab_size=8192,
    hidden_size=512,
    intermediate_size=1024,
    num_hidden_layers=8,
    num_attention_heads=8,
    num_key_value_heads=2,
    num_experts=4,
)
QUESTION = 32  # tokens behind a cached prompt


def main() -> None:
    """Run the rounds; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt", type=int, default=2048)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.rounds, options.prompt, options.tokens)
    if options.json:
        print(json.dumps(result))
    else:
        show(result)


def measure(folder: Path, rounds: int, prompt: int, tokens: int) -> dict[str, Any]:
    """Medians over the rounds, in tokens and seconds."""
    model = Jamba(CONFIG)
    initialise(model, seed=0)
    save_model(model, folder)
    ids = torch.randint(3, CONFIG.vocab_size, (prompt,), generator=torch.Generator().manual_seed(0))
    runs = {"jamba": our_run(folder), "transformers": their_run(folder)}
    for run in runs.values():
        run(ids[:64].tolist(), 4)  # compiles and warms up
    rates: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            ttft, decode = run(ids.tolist(), tokens)
            rates[name].append((prompt / ttft, (tokens - 1) / decode))
    medians = {
        name: {
            "prefill_tokens_s": statistics.median(prefill for prefill, _ in pairs),
            "decode_tokens_s": statistics.median(decode for _, decode in pairs),
        }
        for name, pairs in rates.items()
    }
    ratios = {key: medians["jamba"][key] / medians["transformers"][key] for key in medians["jamba"]}
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "prompt_tokens": prompt,
        "generated_tokens": tokens,
        "rounds": rounds,
        "threads": torch.get_num_threads(),
        **medians,
        "ratios": ratios,
        "cache": cached_times(folder, ids.tolist()),
    }


Run = Callable[[list[int], int], tuple[float, float]]  # seconds to the first token, and of decoding


def our_run(folder: Path) -> Run:
    """A run of our engine, with no snapshots to go on from."""
    engine = Engine(load_model(folder))

    def run(prompt: list[int], tokens: int) -> tuple[float, float]:
        request = engine.submit(prompt, SamplingParams(max_tokens=tokens, ignore_eos=True))
        list(engine.stream(request))
        return request.metrics.ttft_s or 0.0, request.metrics.decode_s

    return run


def their_run(folder: Path) -> Run:
    """A greedy loop over transformers' model and its cache."""
    from transformers import JambaForCausalLM

    model = JambaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def run(prompt: list[int], tokens: int) -> tuple[float, float]:
        with torch.inference_mode():
            began = time.perf_counter()
            out = model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1:].argmax(-1)
            first = time.perf_counter()
            for _ in range(tokens - 1):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
            return first - began, time.perf_counter() - first

    return run


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


def show(result: dict[str, Any]) -> None:
    """The result as a table on standard output."""
    print(f"{result['parameters'] / 1e6:.1f} M parameters, {result['threads']} threads")
    print(f"{'':14}{'prefill tok/s':>16}{'decode tok/s':>16}")
    for name in ("jamba", "transformers", "ratios"):
        row = result[name]
        print(f"{name:14}{row['prefill_tokens_s']:16.1f}{row['decode_tokens_s']:16.1f}")
    for name, seconds in result["cache"].items():
        print(f"{name:24}{seconds:10.4f}")


if __name__ == "__main__":
    main()
