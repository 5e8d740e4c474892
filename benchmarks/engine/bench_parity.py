"""Relative error of our logits against transformers', float32, over a seeded grid of models.

    python -m benchmarks.engine.bench_parity [--json]

Each line is one drawn architecture with random weights: the whole prompt in one pass, one token at
a time through the model, and one at a time through the kernels for decoding. Exits with 1 where
one is above the tolerance.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numba
import torch

from tests.jamba.parity import GRID, TOLERANCE, Parity, measure

COLUMNS = ("seed", "hidden", "layers", "mixers", "heads", "experts", "mamba", "biases", "tied")
ERRORS = ("whole", "stepped", "decoded")


def main() -> None:
    """Measure every model of the grid; print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # the models are tiny: threads would only wait for each other
    numba.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(seed, Path(folder) / str(seed)) for seed in GRID]
    if options.json:
        print(json.dumps([asdict(result) for result in results]))
    else:
        show(results)
    sys.exit(any(result.worst > TOLERANCE for result in results))


def show(results: list[Parity]) -> None:
    """One line a model, and the largest error of all."""
    print("".join(f"{name:>12}" for name in (*COLUMNS, *ERRORS)))
    for seed, result in zip(GRID, results, strict=True):
        errors = "".join(f"{getattr(result, name):12.1e}" for name in ERRORS)
        print(f"{seed:12}" + "".join(f"{text:>12}" for text in described(result.fields)) + errors)
    worst = max(result.worst for result in results)
    print(f"{len(results)} models, largest relative error {worst:.1e} (allowed {TOLERANCE:.0e})")


def described(fields: dict[str, Any]) -> list[str]:
    """An architecture in the table's columns; mamba is d_state/d_conv/expand/dt_rank."""
    f = fields
    attention = f"{f['attn_layer_period']}/{f['attn_layer_offset']}"
    moe = f"{f['num_experts_per_tok']} of {f['num_experts']}" if f["num_experts"] > 1 else "dense"
    sizes = (f["mamba_d_state"], f["mamba_d_conv"], f["mamba_expand"], f["mamba_dt_rank"])
    biases = [name for name in ("conv", "proj") if f[f"mamba_{name}_bias"]]
    return [
        str(f["hidden_size"]),
        str(f["num_hidden_layers"]),
        attention,
        f"{f['num_attention_heads']}/{f['num_key_value_heads']}",
        moe,
        "/".join(str(size) for size in sizes),
        "+".join(biases) or "-",
        "yes" if f["tie_word_embeddings"] else "no",
    ]


if __name__ == "__main__":
    main()
