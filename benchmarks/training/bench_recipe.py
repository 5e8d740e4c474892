"""Recipes of a small Jamba compared by short trainings that cost the same.

    python -m benchmarks.training.bench_recipe ../shared/data --work DIR [--teraflop 12]
        [--only shipped wide ...]

Each variant changes a few fields of the shipped recipe and stops when its matrix products have cost
as much as the others'. Shapes are compared by bits a byte of held-out text, which does not depend
on the vocabulary; what is taught, by the loss of held-out answers. Reading comes after two million
tokens (100 teraflop): what helps it cannot be seen in a shorter training. A finished variant in DIR
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
from jamba.training.train import active_parameters, evaluate
from retrieval.storage.durable import write_file

RESULT = "compared.json"
SHAPES: dict[str, dict[str, Any]] = {
    "shipped": {},
    "wide": {"model": {"hidden_size": 320, "intermediate_size": 640, "num_hidden_layers": 6}},
    "deep": {"model": {"hidden_size": 192, "intermediate_size": 384, "num_hidden_layers": 14}},
    "attention in 1 of 4": {"model": {"attn_layer_period": 4}},
    "dense": {
        "model": {"num_experts": 1, "num_experts_per_tok": 1, "intermediate_size": 640},
    },
    "experts in 1 of 2": {"model": {"expert_layer_period": 2, "expert_layer_offset": 1}},
    "vocabulary 2,048": {"vocabulary": 2048},
    "vocabulary 16,384": {"vocabulary": 16384},
}
TAUGHT: dict[str, dict[str, Any]] = {
    "random embedding": {"embedding": "random"},
    "no matching heads": {"match_alike": None},
    "AdamW": {"training": {"method": "adamw", "learning_rate": 0.002}},
    "people's questions alone": {"curriculum": {"gaps": 0, "quotes": 0, "unlabelled": 0.0}},
    "no unlabelled passages": {"curriculum": {"unlabelled": 0.0}},
    "a third plain text": {"text_share": 0.33},
}
VARIANTS = {**SHAPES, **TAUGHT}


def variant(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with other fields; those that hold fields change only the named ones."""
    fields: dict[str, Any] = {
        name: {**getattr(recipe, name), **value} if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return replace(recipe, **fields)


def trained(recipe: Recipe, sources: Sources, folder: Path, flop: float) -> dict[str, float]:
    """Train until the products have cost `flop`; what is known then."""
    done = folder / RESULT
    if done.exists():
        known: dict[str, float] = json.loads(done.read_text("utf-8"))
        return known
    folder.mkdir(parents=True, exist_ok=True)
    active = active_parameters(Jamba(lm_training.model_config(recipe)))
    settings = settings_of(recipe)
    tokens = flop / (6 * active)
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
        "active": active,
        "tokens": measured.tokens,
        "tokens_per_second": measured.tokens_per_second,
        **judged(sources, folder),
    }
    write_file(done, json.dumps(found, indent=1).encode())
    return found


def judged(sources: Sources, folder: Path) -> dict[str, float]:
    """Bits a byte, and nats a token of answers, of the rows that the shipped recipe holds out."""
    import jamba

    recipe, tokenizer = read_recipe(RECIPE), load_tokenizer(folder)
    layout, plan = Layout(tokenizer, recipe.answer_weight), Curriculum(**recipe.curriculum)
    settings = settings_of(recipe)
    _, rows = build_corpus(
        sources, layout, plan, settings.row_tokens, recipe.text_share, settings.seed
    )
    losses = evaluate(jamba.load_model(folder, "cpu", torch.float32), rows)
    size = sum(len(tokenizer.decode(ids.tolist()).encode()) for ids in rows.ids)
    predicted = int((rows.weights[:, 1:] > 0).sum())
    return {
        "bits_a_byte": losses.tokens * predicted / math.log(2) / size,
        "answers": math.nan if losses.answers is None else losses.answers,
    }


def main() -> None:
    """Train what is missing and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--teraflop", type=float, default=12.0, help="what each training costs")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(SHAPES))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    lm_training.use_threads(options.threads)
    recipe = read_recipe(RECIPE)
    sources = read_sources(recipe, options.data, SPLITS, texts_folder())
    print("| recipe | weights, M | active, M | tokens, M | tokens/s | bits a byte | answers |")
    print("|---|---|---|---|---|---|---|")
    for name in options.only:
        folder = options.work / name.replace(" ", "-")
        one = variant(recipe, VARIANTS[name])
        found = trained(one, sources, folder, 1e12 * options.teraflop)
        print(
            f"| {name} | {found['parameters'] / 1e6:.1f} | {found['active'] / 1e6:.1f} "
            f"| {found['tokens'] / 1e6:.2f} | {found['tokens_per_second']:,.0f} "
            f"| {found['bits_a_byte']:.3f} | {found['answers']:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
