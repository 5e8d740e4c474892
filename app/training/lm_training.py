"""From a recipe and a data folder to a model folder, and what was measured on the way."""

import copy
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import torch

from app.training.example_plan import ExamplePlan
from app.training.lm_data import Layout, Sources, TrainingDataError, build_corpus
from app.training.lm_embedding import encoder_embedding
from app.training.lm_examples import (
    example_tokens,
    make_examples,
    read_examples,
    write_examples,
)
from app.training.lm_exams import Curriculum
from app.training.lm_recipe import Embedding, Recipe, read_recipe, settings_of
from app.training.lm_report import Measured, draw_curve, measure, plan_line
from jamba.config import JambaConfig
from jamba.network.model import Jamba
from jamba.network.weights import best_place, load_model, save_model
from jamba.tokens.bpe import (
    BOS,
    END_OF_TURN,
    EOS,
    FILES,
    PAD,
    SPECIAL_TOKENS,
    train_tokenizer,
)
from jamba.tokens.chat import ChatTokenizer, load_tokenizer
from jamba.training.data import TokenDocument
from jamba.training.initialise import initialise, match_alike
from jamba.training.train import gemm_rate, train
from jamba.training.training_state import Point
from retrieval.storage.durable import write_file

STATE = "training.safetensors"  # weights, moments and history: what --resume goes on from
HISTORY = "training.json"
RECIPE = "recipe.json"
CURVE = "training-curve.png"
EXAMPLES = "examples.jsonl"  # what the rows of plain text hold, where the recipe has examples


def prepare_tokenizer(sources: Sources, size: int, folder: Path) -> ChatTokenizer:
    """The folder's tokenizer, learned from the sources unless it is there already."""
    if not (folder / "tokenizer.json").exists():
        passages = sorted({question.context for question in sources.questions})
        asked = (question.text for question in sources.questions)
        train_tokenizer([*sources.texts, *passages, *asked], size, folder)
    return load_tokenizer(folder)


def run(
    recipe: Recipe,
    sources: Sources,
    folder: Path,
    *,
    start: Path | None = None,
    resume: bool,
    say: Callable[[str], None],
    report: Callable[[Point, float], None],
) -> Measured:
    """Train a model into `folder`; everything transformers and our engine load is there at the end.

    It begins with the weights and the tokenizer of the model folder `start`, or with none.

    Raises JambaError or TrainingDataError where the data are too few, or the folder holds a run
    that `resume` does not continue.
    """
    settings = settings_of(recipe)
    saved = folder / STATE
    _check_begun(folder, recipe, resume)
    started = None if start is None else begin_with(start, recipe, folder)
    _write_json(folder / RECIPE, recipe.to_dict())
    say("learning the tokenizer" if not (folder / "tokenizer.json").exists() else "tokenizer read")
    tokenizer = prepare_tokenizer(sources, recipe.vocabulary, folder)
    layout = Layout(tokenizer, recipe.answer_weight)
    plan = Curriculum(**recipe.curriculum)
    corpus, held_out = build_corpus(
        sources, layout, plan, settings.row_tokens, recipe.text_share, settings.seed
    )
    if recipe.examples is not None:
        corpus = replace(corpus, examples=_examples(recipe, sources, tokenizer, folder, say))
    place = best_place()
    model = (started or new_model(recipe, tokenizer, settings.seed)).to(place.device)
    rate = gemm_rate(place=place)
    say(plan_line(model, corpus, rate))
    history = train(model, corpus, held_out, settings, saved, report)
    measured = measure(model, history, rate)
    publish(model, folder)
    points = [asdict(point) for point in history]
    _write_json(folder / HISTORY, {"measured": measured.to_dict(), "history": points})
    try:
        draw_curve(history, folder / CURVE)
    except ImportError:
        say(f"no {CURVE}: matplotlib is not installed")
    return measured


def _check_begun(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Refuse a folder whose run is not to be continued, or was one on other examples."""
    saved = folder / STATE
    if not saved.exists():
        (folder / EXAMPLES).unlink(missing_ok=True)  # of a run that was never saved
        return
    if not resume:
        raise TrainingDataError(f"{saved}: a run was begun here; continue it with --resume")
    if (begun := read_recipe(folder / RECIPE).examples) != recipe.examples:
        raise TrainingDataError(
            f"{folder}: was trained on examples {begun}, now {recipe.examples}; "
            "train into another folder"
        )


def _examples(
    recipe: Recipe,
    sources: Sources,
    tokenizer: ChatTokenizer,
    folder: Path,
    say: Callable[[str], None],
) -> tuple[TokenDocument, ...]:
    """The recipe's examples as tokens, kept in the folder for a run that goes on."""
    path = folder / EXAMPLES
    if not path.exists():
        say(f"putting together {path}")
        settings, plan = settings_of(recipe), ExamplePlan(**(recipe.examples or {}))
        texts = dict(zip((*recipe.texts, *recipe.packages), sources.texts, strict=True))
        made = make_examples(texts, tokenizer, plan, settings.row_tokens, settings.seed)
        write_examples(path, made)
    examples = list(read_examples(path))
    mixed = sum(len(example.chunks) > 1 for example in examples)
    say(f"{len(examples)} training examples, {mixed} of them of several documents")
    return tuple(example_tokens(example, tokenizer) for example in examples)


def model_config(recipe: Recipe) -> JambaConfig:
    """The recipe's model with the tokenizer's vocabulary and end tokens."""
    ids = {token: number for number, token in enumerate(SPECIAL_TOKENS)}
    return JambaConfig.from_dict(
        {
            **recipe.model,
            "model_type": "jamba",
            "vocab_size": recipe.vocabulary,
            "pad_token_id": ids[PAD],
            "bos_token_id": ids[BOS],
            "eos_token_id": [ids[EOS], ids[END_OF_TURN]],
        }
    )


def new_model(recipe: Recipe, tokenizer: ChatTokenizer, seed: int) -> Jamba:
    """The recipe's model as it is before the first step."""
    from retrieval.encoders.encoder import load_encoder

    config = model_config(recipe)
    model = Jamba(config)
    initialise(model, seed)
    if recipe.match_alike is not None:
        match_alike(model, recipe.match_alike)
    if recipe.embedding == Embedding.ENCODER:
        known = encoder_embedding(
            tokenizer,
            config.vocab_size,
            config.hidden_size,
            config.initializer_range,
            load_encoder().folder,
        )
        start = model.model.embed_tokens.weight.data
        start.copy_(torch.where(known.any(1, keepdim=True), known, start))
    return model


def begin_with(start: Path, recipe: Recipe, folder: Path) -> Jamba:
    """The model of the folder `start` in float32; its tokenizer is copied into `folder`.

    TrainingDataError where its shape is not the recipe's, or both are one folder.
    """
    if start.resolve() == folder.resolve():
        raise TrainingDataError(f"{folder}: is what the training starts with; name another --out")
    load_tokenizer(start)  # names what is missing or damaged
    known = load_model(start)
    wanted = model_config(recipe)
    for field in fields(JambaConfig):
        theirs, ours = getattr(known.config, field.name), getattr(wanted, field.name)
        if theirs != ours:
            raise TrainingDataError(
                f"{start}: has {field.name} = {theirs}, and the recipe {ours}; give a recipe with "
                "the shape of the model that the training starts with"
            )
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if (start / name).exists():  # a template may stand in the tokenizer's config
            shutil.copyfile(start / name, folder / name)
    model = Jamba(wanted)  # of its own: the known one's weights may be pages of the file
    model.load_state_dict(known.state_dict())
    return model


def publish(model: Jamba, folder: Path) -> None:
    """Write the weights as float16 with config.json and generation_config.json."""
    save_model(copy.deepcopy(model).half(), folder)
    config = model.config
    _write_json(
        folder / "generation_config.json",
        {
            "bos_token_id": config.bos_token_id,
            "eos_token_id": list(config.eos_token_ids),
            "pad_token_id": config.pad_token_id,
            "do_sample": False,
        },
    )


def use_threads(count: int) -> None:
    """Let torch and numba run on `count` cores."""
    import numba
    import torch

    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (json.dumps(value, indent=1) + "\n").encode())
