"""A recipe: what a language model is trained on and how; and what it names, read from files."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.training.collected_texts import PACKAGES, collect
from app.training.example_plan import ExamplePlan
from app.training.lm_data import (
    Sources,
    TrainingDataError,
    read_text,
    runs,
    split_titles,
    without_overlap,
)
from app.training.lm_exams import Curriculum
from jamba.training.training_state import Settings
from retrieval.evaluation.squad import Question, read_squad

FORMAT = 1


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
    training: Mapping[str, Any]  # fields of jamba.training.train.Settings
    text_share: float = 0.3  # rows of plain text, of all rows
    answer_weight: float = 3.0  # an answer's token counts so many times
    curriculum: Mapping[str, Any] = field(default_factory=dict)  # fields of lm_exams.Curriculum
    packages: tuple[str, ...] = ()  # of app.training.collected_texts.PACKAGES
    embedding: Embedding = Embedding.RANDOM  # what the tokens' vectors start from
    match_alike: float | None = None  # the spread of training.initialise.match_alike; None: without
    examples: Mapping[str, Any] | None = None  # fields of ExamplePlan; None: text as it stands
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """As it is written to recipe.json."""
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
        ExamplePlan(**(recipe.examples or {}))
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
    taught: list[Question] = []
    contexts: set[str] = set()
    for item in recipe.questions:
        allowed = None if item.split is None else _taught_titles(item.split, splits)
        questions = read_squad(data / item.file)
        contexts.update(question.context for question in questions)
        taught += [each for each in questions if allowed is None or each.title in allowed]
    reserved = runs(contexts - {question.context for question in taught})
    packages = {package.name: package for package in PACKAGES}
    if unknown := [name for name in recipe.packages if name not in packages]:
        raise TrainingDataError(f"no text is known in package {unknown[0]!r}")
    files = [data / name for name in recipe.texts]
    files += [collect(packages[name], collected) for name in recipe.packages]
    texts = (without_overlap(read_text(file), reserved) for file in files)
    return Sources(tuple(texts), tuple(taught))


def _taught_titles(split: str, splits: Path) -> frozenset[str]:
    """The titles of the articles that may be trained on; those for calibration may not."""
    titles = split_titles(splits, split)
    return titles["tuning"] - titles["calibration"]


def settings_of(recipe: Recipe) -> Settings:
    """The recipe's training settings; TrainingDataError on an unknown one."""
    try:
        return Settings(**recipe.training)
    except TypeError as error:
        raise TrainingDataError(f"the recipe's training settings: {error}") from None


def texts_folder() -> Path:
    """Where the texts of packages are kept between trainings."""
    from platformdirs import user_cache_path

    return Path(user_cache_path("orbweaver", appauthor=False)) / "texts"
