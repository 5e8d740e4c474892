"""What the reader gets wrong: where its words lie beside the right ones, and for which questions.

    python -m benchmarks.answers.bench_reader_errors ../shared/data [--part reporting]
        [--reader DIR]

SQuAD articles that it never saw, the right passage given.
"""

import argparse
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.answering.reader import BUNDLED, open_reader
from benchmarks.answers.bench_reader import SQUAD, of_titles
from retrieval.evaluation.squad import Question, exact_match, f1_score, normalise_answer
from retrieval.reading.reader import Reader
from retrieval.sentences import sentence_spans

ASKING = re.compile(r"\b(?:how (?:many|much|long|old|far|often)|who|when|where|which|why|how|what)")
LENGTHS = ((1, "one word"), (3, "two or three"), (6, "four to six"))


class Outcome(StrEnum):
    """Where the reader's words lie beside an annotator's, nearest first."""

    EXACT = "the same words"
    LONGER = "with words around them"
    SHORTER = "only some of them"
    CROSSING = "some of them and others"
    SENTENCE = "other words of their sentence"
    ELSEWHERE = "words of another sentence"


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what came of it."""

    question: Question
    outcome: Outcome
    f1: float


def answer(reader: Reader, question: Question) -> Answered:
    """Read the question's own passage and judge the best span."""
    (span,) = reader.read(question.text, [question.context])
    start, end = (0, 0) if span is None else (span.start, span.end)
    words, golds = question.context[start:end], [gold.text for gold in question.answers]
    exact = exact_match(words, golds)
    lies = Outcome.EXACT if exact else nearest(question, start, end)
    return Answered(question, lies, f1_score(words, golds))


def nearest(question: Question, start: int, end: int) -> Outcome:
    """The nearest relation of the span [start, end) to the spans that people marked."""
    sentences = sentence_spans(question.context)
    marked = [(gold.start, gold.start + len(gold.text)) for gold in question.answers]
    return min(
        (relation((start, end), gold, sentences) for gold in marked), key=list(Outcome).index
    )


def relation(
    span: tuple[int, int], gold: tuple[int, int], sentences: Sequence[tuple[int, int]]
) -> Outcome:
    """How one span of a passage, not the same words, lies beside another."""
    if span[0] <= gold[0] and gold[1] <= span[1]:
        return Outcome.LONGER
    if gold[0] <= span[0] and span[1] <= gold[1]:
        return Outcome.SHORTER
    if span[0] < gold[1] and gold[0] < span[1]:
        return Outcome.CROSSING
    near = any(first <= span[0] < last and first <= gold[0] < last for first, last in sentences)
    return Outcome.SENTENCE if near else Outcome.ELSEWHERE


def asking(question: Question) -> str:
    """The question's first word that asks."""
    found = ASKING.search(question.text.lower())
    return found[0] if found else "none of these"


def length(question: Question) -> str:
    """How many words the shortest right answer has."""
    words = min(len(normalise_answer(gold.text).split()) for gold in question.answers)
    return next((name for most, name in LENGTHS if words <= most), "seven or more")


def table(found: Sequence[Answered], title: str, kind: Callable[[Answered], str]) -> None:
    """Print the share of each kind, with its exact match and F1, the most frequent first."""
    groups: dict[str, list[Answered]] = {}
    for one in found:
        groups.setdefault(kind(one), []).append(one)
    print(f"| {title} | share | exact match | F1 |\n|---|---|---|---|")
    for name, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        exact = 100 * statistics.mean(one.outcome is Outcome.EXACT for one in group)
        f1 = 100 * statistics.mean(one.f1 for one in group)
        print(f"| {name} | {100 * len(group) / len(found):.1f} % | {exact:.1f} | {f1:.1f} |")
    print()


def main() -> None:
    """Read every question and print three tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--part", choices=["calibration", "reporting"], default="reporting")
    parser.add_argument("--reader", type=Path, default=BUNDLED)
    options = parser.parse_args()
    reader = open_reader(options.reader)
    asked = of_titles(options.data, SQUAD, "squad", options.part)
    found = [answer(reader, question) for question in asked if question.answers]
    table(found, "the reader's words are", lambda one: one.outcome)
    table(found, "the question asks", lambda one: asking(one.question))
    table(found, "words of the answer", lambda one: length(one.question))


if __name__ == "__main__":
    main()
