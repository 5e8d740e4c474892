"""SQuAD-format question files (1.1 and 2.0) and the official exact-match and F1 scores."""

import json
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from retrieval.types import RetrievalError

_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = frozenset(string.punctuation)


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """Words of the context that answer: `context[start : start + len(text)] == text`."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class Question:
    """One question with the paragraph it was asked of; no `answers` means it cannot be answered."""

    id: str
    title: str
    paragraph: int  # 0-based, within its article
    context: str
    text: str
    answers: tuple[GoldAnswer, ...]


def read_squad(path: Path) -> list[Question]:
    """All questions of a SQuAD JSON file, in file order; RetrievalError says what is off."""
    try:
        articles = json.loads(path.read_text(encoding="utf-8"))["data"]
        return [question for article in articles for question in _questions(article)]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise RetrievalError(f"{path}: not a SQuAD question file ({what})") from error


def _questions(article: dict) -> Iterator[Question]:
    for number, paragraph in enumerate(article["paragraphs"]):
        context = paragraph["context"]
        for qa in paragraph["qas"]:
            answers = tuple(
                GoldAnswer(answer["text"], int(answer["answer_start"]))
                for answer in qa["answers"]
                if context[answer["answer_start"] :].startswith(answer["text"])
            )
            title = article.get("title", "")
            yield Question(str(qa["id"]), title, number, context, qa["question"].strip(), answers)


def normalise_answer(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces: the official script's rule."""
    text = "".join(letter for letter in text.lower() if letter not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def exact_match(prediction: str, answers: Iterable[str]) -> float:
    """1.0 if the prediction equals an answer after normalisation; "" is right where none is."""
    golds = [normalise_answer(answer) for answer in answers] or [""]
    return float(normalise_answer(prediction) in golds)


def f1_score(prediction: str, answers: Iterable[str]) -> float:
    """The best token overlap F1 with any answer, in [0, 1]."""
    return max((_token_f1(prediction, answer) for answer in list(answers) or [""]), default=0.0)


def _token_f1(prediction: str, answer: str) -> float:
    ours, gold = normalise_answer(prediction).split(), normalise_answer(answer).split()
    if not ours or not gold:
        return float(ours == gold)
    same = sum((Counter(ours) & Counter(gold)).values())
    return 2.0 * same / (len(ours) + len(gold))
