"""From a recipe and a data folder to a reader folder: trained, calibrated, with its figures."""

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from app.training.lm_data import (
    DOCUMENT_PARAGRAPHS,
    HEADING,
    TrainingDataError,
    read_questions,
    read_text,
    split_titles,
)
from app.training.lm_recipe import FORMAT, QuestionFile, recipe_fields, refusing
from retrieval.evaluation.squad import Question
from retrieval.reading.reader import Calibration, Reader, open_tokenizer
from retrieval.reading.reader_data import Curriculum, Example, curriculum, wrong_passages
from retrieval.reading.reader_eval import ReadingScores, auroc, best_odds, calibrate, read_gold
from retrieval.reading.reader_train import ReaderTraining, save_reader, train_reader

PARAGRAPH_WORDS = 100  # the rest of a longer paragraph is not used
SHORTEST_PARAGRAPH = 30  # words
HELD_OUT = 10  # one passage in so many of a question file that has no split


@dataclass(frozen=True, slots=True)
class ReaderRecipe:
    """What a reader is trained on and how; files are relative to the data folder."""

    texts: tuple[str, ...]
    questions: tuple[QuestionFile, ...]
    curriculum: Mapping[str, Any]  # fields of Curriculum
    training: Mapping[str, Any]  # fields of ReaderTraining
    format: int = FORMAT

    def to_dict(self) -> dict[str, Any]:
        """As it is written into the reader's card."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ReaderData:
    """Everything read from files: unlabelled passages by document, questions, and some held out."""

    documents: tuple[tuple[str, ...], ...]
    questions: tuple[Question, ...]
    held_out: tuple[Question, ...]


def read_reader_recipe(path: Path) -> ReaderRecipe:
    """Read a recipe.json; TrainingDataError names an unknown or missing field."""
    with refusing(path, "reader's recipe"):
        recipe = ReaderRecipe(**recipe_fields(path, ReaderRecipe))
        Curriculum(**recipe.curriculum)
        ReaderTraining(**recipe.training)
    return recipe


def for_own_questions(recipe: ReaderRecipe, questions: Path) -> ReaderRecipe:
    """The recipe that goes on with a trained reader on somebody's own question file."""
    own = QuestionFile(str(questions.resolve()))
    gentle = {**recipe.training, "learning_rate": 3e-5, "head_learning_rate": 1e-4}
    return replace(
        recipe,
        texts=(),
        questions=(own,),
        curriculum={**recipe.curriculum, "clozes": 0},
        training=gentle,
    )


def read_reader_data(recipe: ReaderRecipe, data: Path, splits: Path) -> ReaderData:
    """Read the recipe's files.

    Held out are the calibration articles of `splits`; of a file that has no split, and so no
    calibration articles, the questions of every tenth passage.
    """
    questions: list[Question] = []
    held_out: list[Question] = []
    for item in recipe.questions:
        found = read_questions(data / item.file, item.split, splits)
        kept_back = _held_out(found, item, data, splits)
        held_out += kept_back
        ids = {id(question) for question in kept_back}
        questions += [question for question in found if id(question) not in ids]
    documents = [each for name in recipe.texts for each in documents_of(read_text(data / name))]
    documents += _contexts(questions) if recipe.curriculum.get("clozes") else []
    return ReaderData(tuple(documents), tuple(questions), tuple(held_out))


def _held_out(
    questions: Sequence[Question], item: QuestionFile, data: Path, splits: Path
) -> list[Question]:
    if item.split is not None:
        calibration = split_titles(splits, item.split)["calibration"]
        return [question for question in questions if question.title in calibration]
    places = {context: at for at, context in enumerate(dict.fromkeys(q.context for q in questions))}
    return [q for q in questions if places[q.context] % HELD_OUT == HELD_OUT - 1]


def documents_of(text: str) -> list[tuple[str, ...]]:
    """A text's documents, each a tuple of paragraphs of at most PARAGRAPH_WORDS words.

    Documents begin at lines like "= Title =" where there are any (WikiText, whose spaced
    punctuation is put right); otherwise every DOCUMENT_PARAGRAPHS paragraphs are one.
    """
    documents: list[list[str]] = [[]]
    lines = [line.strip() for line in text.split("\n")]
    has_headings = any(HEADING.fullmatch(line) for line in lines)
    for line in lines:
        starts_anew = HEADING.fullmatch(line) or (
            not has_headings and len(documents[-1]) == DOCUMENT_PARAGRAPHS
        )
        if starts_anew:
            documents.append([])
        words = (_joined(line) if has_headings else line).split()
        if len(words) >= SHORTEST_PARAGRAPH:
            documents[-1].append(" ".join(words[:PARAGRAPH_WORDS]))
    return [tuple(document) for document in documents if document]


def _joined(line: str) -> str:
    """WikiText's tokens put together again: "1 @,@ 000 ( men ) ." is "1,000 (men)."."""
    line = re.sub(r" @(.)@ ", r"\1", line)
    line = re.sub(r" ([.,;:!?)'])", r"\1", line)
    return line.replace("( ", "(").replace(" 's", "'s")


def _contexts(questions: Sequence[Question]) -> list[tuple[str, ...]]:
    """Each article's passages, as unlabelled text."""
    articles: dict[str, dict[str, None]] = {}
    for question in questions:
        cut = " ".join(question.context.split()[:PARAGRAPH_WORDS])
        articles.setdefault(question.title, {})[cut] = None
    return [tuple(passages) for passages in articles.values()]


@dataclass(frozen=True, slots=True)
class Exam:
    """Held-out questions with their own passages, and with wrong ones of the same article."""

    right: tuple[Question, ...]
    wrong: tuple[Example, ...]

    @classmethod
    def of(cls, held_out: Sequence[Question]) -> "Exam":
        """Raises TrainingDataError where the questions give no pair of one kind."""
        right = tuple(question for question in held_out if question.answers)
        wrong = tuple(wrong_passages(right, held_out, random.Random(0)))
        if not wrong:
            raise TrainingDataError(
                "too few questions to hold some out and calibrate; give a file with twenty "
                "passages of one title at least"
            )
        return cls(right, wrong)


def run(
    recipe: ReaderRecipe,
    data: ReaderData,
    encoder_folder: Path,
    out: Path,
    report: Callable[[int, int, float], None],
    start: Path | None = None,
) -> ReadingScores:
    """Train (or continue) in `out`, calibrate on the held-out questions, write the reader there."""
    exam = Exam.of(data.held_out)
    plan = Curriculum(**recipe.curriculum)
    examples = curriculum(data.questions, data.documents, plan)
    settings = ReaderTraining(**recipe.training)
    model = train_reader(examples, encoder_folder, out, settings, report, start)
    window = settings.window_tokens
    reader = Reader(model, open_tokenizer(encoder_folder), window_tokens=window)
    scores, calibration = judge(reader, exam)
    card = {
        "recipe": recipe.to_dict(),
        "examples": len(examples),
        "held_out": scores.to_dict(),
        "started_from": None if start is None else start.name,
    }
    save_reader(out, model, calibration, window, card)
    return scores


def judge(reader: Reader, exam: Exam) -> tuple[ReadingScores, Calibration]:
    """Scores on the exam, and the calibration they give."""
    scores, right = read_gold(reader, exam.right)
    wrong = best_odds(reader, exam.wrong)
    return replace(scores, auroc=auroc(right, wrong)), calibrate(right, wrong)
