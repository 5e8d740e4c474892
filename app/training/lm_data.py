"""Files -> what a small Jamba is trained on: plain text, and passages with questions and answers.

Passages, questions and answers are laid out as the checkpoint's own chat template renders them,
so that the model is asked later in the words it was trained in.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from app.answering.prompt import SYSTEM
from app.training.lm_exams import Curriculum, Exam, asked_passages, editions, plain_passages
from app.types import OrbweaverError
from jamba.tokens.bpe import BOS, END_OF_TURN
from jamba.tokens.chat import ChatTokenizer
from jamba.training.data import (
    Corpus,
    Filler,
    Rows,
    TokenDocument,
    concatenate,
    document,
    pack,
    text_rows,
)
from retrieval.evaluation.squad import Question, read_squad

SHARED_WORDS = 10  # in a row: the same text, not the same phrase
DOCUMENT_PARAGRAPHS = 30  # of a text without headings, taken as one document
HEADING = re.compile(r"= [^=].* =")  # of an article
SECTION = 4000  # characters of plain text that stay in order
HELD_OUT = 40  # one in so many examples and sections is never trained on
HELD_OUT_ROWS = 4  # of each kind
WITH_SYSTEM = 0.75  # of the documents begin with the system message that the application sends
Run = tuple[str, ...]  # SHARED_WORDS words in a row, lower-cased
_GUTENBERG = re.compile(r"^\*\*\* ?(START|END) OF TH.*$", re.MULTILINE)


class TrainingDataError(OrbweaverError):
    """Training data cannot be read; the message names the file."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything read from files, before a token is made of it."""

    texts: tuple[str, ...]
    questions: tuple[Question, ...]


def read_text(path: Path) -> str:
    """A text file without a Project Gutenberg frame, one line a paragraph."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingDataError(f"{path}: cannot be read as UTF-8 text ({error})") from None
    marks = {mark[1]: mark for mark in _GUTENBERG.finditer(text)}
    start = marks["START"].end() if "START" in marks else 0
    end = marks["END"].start() if "END" in marks else len(text)
    paragraphs = re.split(r"\n\s*\n", text[start:end])
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip())


def read_questions(path: Path, split: str | None, splits: Path) -> list[Question]:
    """A SQuAD file's questions; with `split`, of the articles that `splits` lists for tuning."""
    questions = read_squad(path)
    if split is None:
        return questions
    titles = split_titles(splits, split)["tuning"]
    return [question for question in questions if question.title in titles]


def split_titles(splits: Path, split: str) -> dict[str, frozenset[str]]:
    """The titles of a split's articles by what they may be used for.

    Those for calibration are among those for tuning: weights are fitted on them, so nothing that
    is weighed may have been trained on them.
    """
    try:
        listed = json.loads(splits.read_text(encoding="utf-8"))[split]
        return {
            "tuning": frozenset(listed["tuning"]),
            "calibration": frozenset(listed.get("calibration", ())),
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingDataError(
            f"{splits}: says nothing of what may be trained on in {split!r} ({error}); "
            "name the file with --splits"
        ) from None


def runs(passages: Iterable[str]) -> frozenset[Run]:
    """Every SHARED_WORDS words in a row of the passages."""
    return frozenset(run for passage in passages for run in _runs(passage))


def without_overlap(text: str, reserved: frozenset[Run]) -> str:
    """The paragraphs of `text` that share no SHARED_WORDS words in a row with a reserved text.

    What a model is examined on must not come in by another door. `reserved` comes from `runs`.
    """
    lines = text.split("\n")
    return "\n".join(line for line in lines if not any(run in reserved for run in _runs(line)))


def _runs(text: str) -> Iterator[Run]:
    words = re.findall(r"\w+", text.lower())
    return (tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1))


@dataclass(frozen=True, slots=True)
class Section:
    """Whole paragraphs of a text, in order; `source` counts texts, `start` characters."""

    source: int
    start: int
    text: str


def sections(texts: Iterable[str]) -> list[Section]:
    """Plain text in sections of about SECTION characters."""
    found: list[Section] = []
    for source, text in enumerate(texts):
        start, section = 0, ""
        for paragraph in text.split("\n"):
            section += paragraph + "\n"
            if len(section) >= SECTION:
                found.append(Section(source, start, section))
                start, section = start + len(section), ""
        if section:
            found.append(Section(source, start, section))
    return found


def split_sections(texts: Iterable[str], rng: random.Random) -> tuple[list[Section], list[Section]]:
    """The sections to train on and those held out, shuffled; alike for one state of `rng`."""
    parts = sections(texts)
    rng.shuffle(parts)
    return _part(parts), parts[::HELD_OUT]


def document_starts(text: str) -> list[int]:
    """The offsets at which a text's documents begin, 0 among them.

    Documents begin at lines like "= Title =" where there are any; otherwise every
    DOCUMENT_PARAGRAPHS paragraphs are one.
    """
    lines = text.split("\n")
    offsets = list(accumulate((len(line) + 1 for line in lines), initial=0))[:-1]
    headed = [
        offset for offset, line in zip(offsets, lines, strict=True) if HEADING.fullmatch(line)
    ]
    return sorted({0, *(headed or offsets[::DOCUMENT_PARAGRAPHS])})


@dataclass(frozen=True, slots=True)
class Layout:
    """Turns exams into tokens as the chat template has it; answers weigh `answer_weight`."""

    tokenizer: ChatTokenizer
    answer_weight: float

    def document(self, exam: Exam, others: Sequence[Exam], rng: random.Random) -> TokenDocument:
        """One packed document: the passage among `others` in any order, then every turn."""
        passages = [exam, *others]
        rng.shuffle(passages)
        system = [{"role": "system", "content": SYSTEM}] if rng.random() < WITH_SYSTEM else []
        prompt = self.tokenizer.encode_chat(
            [*system, {"role": "user", "content": exam.turns[0][0]}],
            [_as_document(passage) for passage in passages],
        )
        pieces: list[tuple[Sequence[int], float]] = [(prompt.ids, 1.0)]
        for number, (question, answer) in enumerate(exam.turns):
            if number:
                pieces.append((self._question(question), 1.0))
            pieces.append((self._answer(answer), self.answer_weight))
        return document(pieces)

    def _question(self, text: str) -> list[int]:
        begin, end = map(
            self.tokenizer.encode_special, ("<|bom|><|user|>", "<|eom|><|bom|><|assistant|>")
        )
        return [*begin, *self.tokenizer.encode(f" {text}"), *end]

    def _answer(self, text: str) -> list[int]:
        return [*self.tokenizer.encode(f" {text}"), *self.tokenizer.encode_special(END_OF_TURN)]


def _as_document(exam: Exam) -> Mapping[str, str]:
    return {"title": exam.title, "text": exam.text} if exam.title else {"text": exam.text}


def documents(exams: Sequence[Exam], layout: Layout, rng: random.Random) -> Iterator[TokenDocument]:
    """Every exam as tokens, a quarter of them beside a passage that others are asked of."""
    for exam in exams:
        others = rng.sample(exams, rng.choice((0, 0, 0, 1)))
        yield layout.document(exam, [other for other in others if other is not exam], rng)


def build_corpus(
    sources: Sources,
    layout: Layout,
    plan: Curriculum,
    row_tokens: int,
    text_share: float,
    seed: int,
) -> tuple[Corpus, Rows]:
    """What to train on, and the rows held out of it: passages with questions, then plain text."""
    rng = random.Random(seed)
    parts, unseen_parts = split_sections(sources.texts, rng)
    labelled = asked_passages(sources.questions)
    rng.shuffle(labelled)
    plain = list(plain_passages(part.text for part in parts))
    taught = tuple(
        item
        for exams in editions(_part(labelled), plain, plan, rng)
        for item in documents(exams, layout, rng)
    )
    (bos,) = layout.tokenizer.encode_special(BOS)
    filler = Filler([layout.tokenizer.encode(part.text) for part in unseen_parts], bos)
    (unseen,) = editions(labelled[::HELD_OUT], [], replace(plan, editions=1), rng)
    held_out = concatenate(
        [
            pack(documents(unseen, layout, rng), filler, row_tokens).take(slice(HELD_OUT_ROWS)),
            text_rows(filler, HELD_OUT_ROWS, row_tokens),
        ]
    )
    text = tuple(layout.tokenizer.encode(part.text) for part in parts)
    return Corpus(taught, text, bos, row_tokens, text_share), held_out


T = TypeVar("T")


def _part(items: Sequence[T]) -> list[T]:
    """The items that are not held out."""
    return [item for number, item in enumerate(items) if number % HELD_OUT]
