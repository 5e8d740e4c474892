"""Asking questions with so many passages before them, and scoring what comes back."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.experiments.bootstrap import interval
from app.experiments.errors import ExperimentError
from app.experiments.models.answerer import Answerer
from app.experiments.qa.data import QaItem, Text
from app.experiments.qa.prompt import Prompt, shortened
from app.prompt import Reading
from app.types import RetrievedPassage
from retrieval.evaluation.answer_match import answer_rank
from retrieval.evaluation.squad import exact_match, f1_score, normalise_answer

ABSTENTION = normalise_answer("The documents do not say")  # what the page's prompt asks for


@dataclass(frozen=True, slots=True)
class Row:
    """One question as it was asked and answered; scores are 0 or 1, F1 between."""

    docs: int
    id: str
    question: str
    answers: tuple[str, ...]
    written: str  # what the model wrote
    prediction: str  # what is scored: empty where the model abstained
    em: float
    f1: float
    answer_in_context: bool
    abstained: bool
    passages: tuple[tuple[str | None, float], ...]  # id and score of those given
    read: int  # how many of them are in the prompt
    cut: bool  # whether the prompt was too long for all of their words
    prompt_tokens: int
    cached_tokens: int
    seconds: float


def ask(answerer: Answerer, prompt: Prompt, item: QaItem, texts: Sequence[Text], docs: int) -> Row:
    """Ask one question after these texts; a prompt too long loses words of the last of them.

    Raises ExperimentError where the question alone is too long, and ModelError.
    """
    whole = Reading(item.question, tuple(map(_passage, texts)))
    reading = shortened(whole, lambda part: answerer.length(prompt, part), answerer.limit)
    if reading is None:
        raise ExperimentError(
            f"question {item.id} alone is longer than the {answerer.limit} tokens that "
            f"{answerer.name} reads"
        )
    began = time.perf_counter()
    answered = answerer.answer(prompt, reading)
    seconds = time.perf_counter() - began
    abstained = is_abstention(answered.text)
    prediction = "" if abstained else answered.text.strip()
    return Row(
        docs,
        item.id,
        item.question,
        item.answers,
        answered.text,
        prediction,
        exact_match(prediction, item.answers),
        f1_score(prediction, item.answers),
        answer_rank([passage.text for passage in reading.passages], item.answers) is not None,
        abstained,
        tuple((text.passage_id, text.score) for text in texts),
        len(reading.passages),
        reading != whole,
        answered.prompt_tokens,
        answered.cached_tokens,
        seconds,
    )


def is_abstention(text: str) -> bool:
    """Whether a model wrote nothing, or that the documents do not say."""
    said = normalise_answer(text)
    return not said or said.startswith(ABSTENTION)


def figures(rows: Sequence[Row]) -> dict[str, Any]:
    """Means over questions in percent, with 95 % intervals, and what it cost."""
    answerable = [row for row in rows if any(row.answers)]
    impossible = [row for row in rows if not any(row.answers)]
    return {
        "em": _percent([row.em for row in rows]),
        "f1": _percent([row.f1 for row in rows]),
        "intervals": {
            name: interval([np.array([getattr(row, name) for row in rows])], lambda m: 100 * m)
            for name in ("em", "f1")
        },
        "questions": len(rows),
        "answer_in_context": _percent([row.answer_in_context for row in answerable]),
        "abstained": {
            "answerable": _percent([row.abstained for row in answerable]),
            "unanswerable": _percent([row.abstained for row in impossible]),
        },
        "unanswerable_questions": len(impossible),
        "prompts_cut": sum(row.cut for row in rows),
        "prompt_tokens": sum(row.prompt_tokens for row in rows),
        "cached_tokens": sum(row.cached_tokens for row in rows),
        "seconds": _latency([row.seconds for row in rows]),
    }


def _passage(text: Text) -> RetrievedPassage:
    """A text as prompts take passages; where it stands does not matter here."""
    return RetrievedPassage(
        text.passage_id or "", "", "", text.title, text.text, None, 0, len(text.text), 0.0, {}
    )


def _percent(values: Sequence[float]) -> float | None:
    """The mean in percent; None over no questions."""
    return 100 * float(np.mean(values)) if values else None


def _latency(seconds: Sequence[float]) -> dict[str, float]:
    """Seconds a question: the mean, the median, and what 95 % stay below."""
    median, high = np.percentile(seconds, [50, 95])
    return {"mean": float(np.mean(seconds)), "median": float(median), "p95": float(high)}
