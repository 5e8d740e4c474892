"""From a recipe and a data folder to a model folder, and what was measured on the way."""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch

from app.training.collected_texts import PACKAGES, collect
from app.training.lm_data import (
    Layout,
    Sources,
    TrainingDataError,
    build_corpus,
    read_questions,
    read_text,
    split_titles,
    without_overlap,
)
from app.training.lm_embedding import encoder_embedding
from app.training.lm_exams import Curriculum
from jamba.bpe import BOS, END_OF_TURN, EOS, PAD, SPECIAL_TOKENS, train_tokenizer
from jamba.chat import ChatTokenizer, load_tokenizer
from jamba.config import JambaConfig
from jamba.data import Corpus
from jamba.model import Jamba, initialise
from jamba.train import active_parameters, gemm_rate, train
from jamba.training_state import Point, Settings
from jamba.weights import best_place, save_model
from retrieval.evaluation.squad import Question

FORMAT = 1
STATE = "training.safetensors"  # weights, moments and history: what --resume goes on from
HISTORY = "training.json"
RECIPE = "recipe.json"
CURVE = "training-curve.png"


@dataclass(frozen=True, slots=True)
class QuestionFile:
    """A SQuAD file; with `split`, only the articles that the splits file lists for tuning there."""

    file: str
    split: str | None = None


class Embedding(StrEnum):
    """What the tokens' vectors start from."""

    RANDOM = "random"
    ENCODER = "encoder"  # the word vectors of the packaged encoder


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to train, on what and how; files are relative to the data folder."""

    texts: tuple[str, ...]
    questions: tuple[QuestionFile, ...]
    vocabulary: int
    model: Mapping[str, Any]  # fields of JambaConfig
    training: Mapping[str, Any]  # fields of jamba.train.Settings
    text_share: float = 0.3  # rows of plain text, of all rows
    answer_weight: float = 3.0  # an answer's token counts so many times
    curriculum: Mapping[str, Any] = field(default_factory=dict)  # fields of lm_exams.Curriculum
    packages: tuple[str, ...] = ()  # of app.training.collected_texts.PACKAGES
    embedding: Embedding = Embedding.RANDOM  # what the tokens' vectors start from
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """As it is written to recipe.json."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run cost and reached; rates in tokens a second and FLOP a second."""

    parameters: int
    active_parameters: int
    tokens: int
    steps: int
    minutes: float
    tokens_per_second: float
    gemm_rate: float
    gemm_share: float
    loss: float
    held_out_loss: float
    held_out_answer_loss: float | None

    def to_dict(self) -> dict[str, Any]:
        """As it is printed with --json and kept in training.json."""
        return asdict(self)


def read_recipe(path: Path) -> Recipe:
    """Read a recipe.json; TrainingDataError names an unknown or missing field."""
    with refusing(path, "training recipe"):
        raw = recipe_fields(path, Recipe)
        recipe = Recipe(
            **{
                **raw,
                "embedding": Embedding(raw.get("embedding", "random")),
                "packages": tuple(raw.get("packages", ())),
            }
        )
        Curriculum(**recipe.curriculum)
    return recipe


@contextmanager
def refusing(path: Path, what: str) -> Iterator[None]:
    """Turn what goes wrong with the file at `path` into TrainingDataError."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingDataError(f"{path}: not a {what} ({error})") from None


def recipe_fields(path: Path, kind: type[Any]) -> dict[str, Any]:
    """The fields of a recipe of the class `kind`; ValueError for an unknown field or format."""
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if unknown := sorted(raw.keys() - {item.name for item in fields(kind)}):
        raise ValueError(f"unknown field {unknown[0]!r}")
    if raw.get("format", FORMAT) != FORMAT:
        raise ValueError(f"format {raw['format']}; this version reads format {FORMAT}")
    questions = tuple(QuestionFile(**question) for question in raw.pop("questions"))
    return {**raw, "texts": tuple(raw["texts"]), "questions": questions}


def read_sources(recipe: Recipe, data: Path, splits: Path, collected: Path) -> Sources:
    """Everything the recipe names, from the data folder and from packages collected in another.

    Text that stands in a passage which may not be trained on is left out.
    """
    taught = [
        question
        for item in recipe.questions
        for question in _taught(data / item.file, item.split, splits)
    ]
    contexts = {question.context for question in taught}
    reserved = {
        question.context
        for item in recipe.questions
        for question in read_questions(data / item.file, None, splits)
    } - contexts
    packages = {package.name: package for package in PACKAGES}
    if unknown := [name for name in recipe.packages if name not in packages]:
        raise TrainingDataError(f"no text is known in package {unknown[0]!r}")
    files = [data / name for name in recipe.texts]
    files += [collect(packages[name], collected) for name in recipe.packages]
    texts = (without_overlap(read_text(file), reserved) for file in files)
    return Sources(tuple(texts), tuple(taught))


def _taught(file: Path, split: str | None, splits: Path) -> list[Question]:
    """The questions of a file that may be trained on; those for calibration may not."""
    kept_back = frozenset() if split is None else split_titles(splits, split)["calibration"]
    return [q for q in read_questions(file, split, splits) if q.title not in kept_back]


def texts_folder() -> Path:
    """Where the texts of packages are kept between trainings."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("orbweaver", appauthor=False)) / "texts"


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
    resume: bool,
    say: Callable[[str], None],
    report: Callable[[Point, float], None],
) -> Measured:
    """Train a model into `folder`; everything transformers and our engine load is there at the end.

    Raises JambaError or TrainingDataError where the data are too few, or the folder holds a run
    that `resume` does not continue.
    """
    settings = settings_of(recipe)
    saved = folder / STATE
    if saved.exists() and not resume:
        raise TrainingDataError(f"{saved}: a run was begun here; continue it with --resume")
    _write_json(folder / RECIPE, recipe.to_dict())
    say("learning the tokenizer" if not (folder / "tokenizer.json").exists() else "tokenizer read")
    tokenizer = prepare_tokenizer(sources, recipe.vocabulary, folder)
    layout = Layout(tokenizer, recipe.answer_weight)
    plan = Curriculum(**recipe.curriculum)
    corpus, held_out = build_corpus(
        sources, layout, plan, settings.row_tokens, recipe.text_share, settings.seed
    )
    place = best_place()
    model = new_model(recipe, tokenizer, settings.seed).to(place.device)
    rate = gemm_rate(place=place)
    say(_plan(model, corpus, rate))
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


def settings_of(recipe: Recipe) -> Settings:
    """The recipe's training settings; TrainingDataError on an unknown one."""
    try:
        return Settings(**recipe.training)
    except TypeError as error:
        raise TrainingDataError(f"the recipe's training settings: {error}") from None


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


def measure(model: Jamba, history: Sequence[Point], gemm: float) -> Measured:
    """What the run's history amounts to; `loss` is the mean of its last twentieth."""
    last = history[-1]
    tail = [point.loss for point in history[-max(1, len(history) // 20) :]]
    active = active_parameters(model)
    speed = last.tokens / last.seconds
    return Measured(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        active_parameters=active,
        tokens=last.tokens,
        steps=last.step,
        minutes=last.seconds / 60,
        tokens_per_second=speed,
        gemm_rate=gemm,
        gemm_share=speed * 6 * active / gemm,
        loss=sum(tail) / len(tail),
        held_out_loss=last.held_out or math.nan,
        held_out_answer_loss=last.held_out_answers,
    )


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


def draw_curve(history: Sequence[Point], path: Path) -> None:
    """The losses against tokens as a PNG; ImportError where matplotlib is not installed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    millions = [point.tokens / 1e6 for point in history]
    read = [point for point in history if point.held_out is not None]
    figure, axes = pyplot.subplots(figsize=(7, 4), dpi=110)
    axes.plot(millions, [point.loss for point in history], alpha=0.4, lw=0.7, label="training")
    for name, values in (
        ("held out", [point.held_out for point in read]),
        ("held out, answers", [point.held_out_answers for point in read]),
    ):
        axes.plot([point.tokens / 1e6 for point in read], values, marker=".", label=name)
    axes.set(xlabel="million tokens", ylabel="loss, nats a token", title="Training")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def use_threads(count: int) -> None:
    """Let torch and numba run on `count` cores."""
    import numba
    import torch

    torch.set_num_threads(count)
    numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))


def describe(point: Point) -> str:
    """One line on where a run stands."""
    answers = "" if point.held_out_answers is None else f", answers {point.held_out_answers:.3f}"
    return (
        f"step {point.step}, {point.tokens / 1e6:.2f} M tokens, {point.seconds / 60:.1f} min, "
        f"{point.tokens / point.seconds:.0f} tokens/s: loss {point.loss:.3f}, "
        f"held out {point.held_out:.3f}{answers}"
    )


def summary(measured: Measured) -> str:
    """One line on what a run cost and reached."""
    return (
        f"{measured.tokens / 1e6:.2f} M tokens in {measured.minutes:.1f} minutes, "
        f"{measured.tokens_per_second:.0f} tokens/s, {measured.gemm_share:.0%} of the "
        f"{measured.gemm_rate / 1e9:.0f} GFLOP/s of matrix products; held-out loss "
        f"{measured.held_out_loss:.3f} nats a token"
    )


def _plan(model: Jamba, corpus: Corpus, rate: float) -> str:
    """The arithmetic before the training: what can be expected at this machine's rate."""
    active = active_parameters(model)
    documents = sum(len(item.ids) for item in corpus.documents)
    text = sum(len(section) for section in corpus.sections)
    return (
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.1f} M parameters, "
        f"{active / 1e6:.1f} M active: {6 * active / 1e6:.0f} MFLOP a token; matrix products "
        f"run at {rate / 1e9:.0f} GFLOP/s, so at most {rate / 6 / active:.0f} tokens/s; "
        f"{documents / 1e6:.2f} M tokens of documents, {text / 1e6:.2f} M of plain text"
    )


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)
