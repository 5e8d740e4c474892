"""Shapes of a small Jamba compared by short trainings that cost the same.

    python -m benchmarks.training.bench_shape ../shared/data --work DIR [--petaflop 12]
        [--only wide deep ...]

Each variant changes a few fields of the shipped recipe, sees the same sources in the same order and
stops when its matrix products have cost as much as the others'. What is compared is bits a byte of
held-out text, which does not depend on the vocabulary, and how fast the variant ran. So short a
training says nothing about reading, which comes after two million tokens. A finished variant in DIR
is not trained again, a stopped one goes on.
"""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from app.commands.train import RECIPE, SPLITS
from app.training import lm_training
from app.training.lm_data import Layout, Sources, build_corpus
from app.training.lm_exams import Curriculum
from app.training.lm_recipe import Recipe, read_recipe, read_sources, settings_of, texts_folder
from jamba.network.model import Jamba
from jamba.tokens.chat import load_tokenizer
from jamba.training.train import active_parameters, token_losses

RESULT = "shape.json"
VARIANTS: dict[str, dict[str, Any]] = {
    "shipped": {},
    "wide": {"hidden_size": 320, "intermediate_size": 640, "num_hidden_layers": 6},
    "deep": {"hidden_size": 192, "intermediate_size": 384, "num_hidden_layers": 14},
    "attention in 1 of 4": {"attn_layer_period": 4},
    "dense": {"num_experts": 1, "num_experts_per_tok": 1, "intermediate_size": 640},
    "experts in 1 of 2": {"expert_layer_period": 2, "expert_layer_offset": 1},
    "vocabulary 2,048": {"vocab_size": 2048},
    "vocabulary 16,384": {"vocab_size": 16384},
}


def variant(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with another model or vocabulary."""
    model = {k: v for k, v in changes.items() if k != "vocab_size"}
    size = changes.get("vocab_size", recipe.vocabulary)
    return replace(recipe, model={**recipe.model, **model}, vocabulary=size)


def trained(recipe: Recipe, sources: Sources, folder: Path, flop: float) -> dict[str, float]:
    """Train until the products have cost `flop`; what is known then."""
    done = folder / RESULT
    if done.exists():
        known: dict[str, float] = json.loads(done.read_text("utf-8"))
        return known
    folder.mkdir(parents=True, exist_ok=True)
    model = Jamba(lm_training.model_config(recipe))
    settings = settings_of(recipe)
    tokens = flop / (6 * active_parameters(model))
    steps = max(1, round(tokens / (settings.rows * settings.row_tokens)))
    ending = {**recipe.training, "steps": steps, "save_every": max(1, steps // 4)}
    state = folder / lm_training.STATE
    measured = lm_training.run(
        replace(recipe, training=ending),
        sources,
        folder,
        resume=state.exists(),
        say=lambda text: print(text, file=sys.stderr, flush=True),
        report=lambda point, done: None,
    )
    found = {
        "parameters": measured.parameters,
        "active": active_parameters(model),
        "tokens": measured.tokens,
        "tokens_per_second": measured.tokens_per_second,
        "bits_a_byte": bits_a_byte(recipe, sources, folder),
    }
    done.write_text(json.dumps(found, indent=1), "utf-8")
    return found


def bits_a_byte(recipe: Recipe, sources: Sources, folder: Path) -> float:
    """Of the rows that were held out, as the model in `folder` predicts them."""
    import jamba

    tokenizer, settings = load_tokenizer(folder), settings_of(recipe)
    layout, plan = Layout(tokenizer, recipe.answer_weight), Curriculum(**recipe.curriculum)
    _, rows = build_corpus(
        sources, layout, plan, settings.row_tokens, recipe.text_share, settings.seed
    )
    model = jamba.load_model(folder, "cpu", torch.float32)
    nats = size = 0.0
    with torch.no_grad():
        for first in range(len(rows)):
            row = rows.take(slice(first, first + 1))
            nats += float(token_losses(model, row)[0].sum())
            size += len(tokenizer.decode(row.ids[0].tolist()).encode())
    return nats / math.log(2) / size


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--petaflop", type=float, default=12.0, help="what each training costs")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    lm_training.use_threads(options.threads)
    recipe = read_recipe(RECIPE)
    sources = read_sources(recipe, options.data, SPLITS, texts_folder())
    print("| shape | weights, M | active, M | tokens, M | tokens/s | bits a byte |")
    print("|---|---|---|---|---|---|")
    for name in options.only:
        folder = options.work / name.replace(" ", "-")
        one = variant(recipe, VARIANTS[name])
        found = trained(one, sources, folder, 1e15 * options.petaflop)
        print(
            f"| {name} | {found['parameters'] / 1e6:.1f} | {found['active'] / 1e6:.1f} "
            f"| {found['tokens'] / 1e6:.2f} | {found['tokens_per_second']:,.0f} "
            f"| {found['bits_a_byte']:.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
