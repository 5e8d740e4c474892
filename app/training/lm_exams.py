"""What a small Jamba is asked about passages: people's questions, gaps, words to go on from.

Several questions follow one passage: it is read once for all of them.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from retrieval.evaluation.squad import Question
from retrieval.passages import split_passages
from retrieval.reading.gap_questions import gap_questions

PASSAGE_WORDS = 100
FEWEST_WORDS = 24  # of a passage that is asked about
ENDING = re.compile(r"[.?!][\"'”’)]*$")


@dataclass(frozen=True, slots=True)
class Exam:
    """A passage and the questions asked of it, each with its answer."""

    title: str
    text: str
    turns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Curriculum:
    """How many questions of each kind follow a passage; each edition asks all of them anew.

    People's questions follow their own passages; `unlabelled` passages of plain text for each of
    these have questions of the other kinds only, twice as many.
    """

    human: int = 5
    gaps: int = 0
    quotes: int = 2
    unlabelled: float = 0.1
    editions: int = 1


@dataclass(frozen=True, slots=True)
class Asked:
    """A passage with all the questions that people asked of it; none for plain text."""

    title: str
    text: str
    questions: tuple[Question, ...] = ()


def asked_passages(questions: Iterable[Question]) -> list[Asked]:
    """Each passage with its answerable questions, in order."""
    found: dict[tuple[str, str], list[Question]] = defaultdict(list)
    for question in questions:
        if question.answers:
            found[question.title, question.context].append(question)
    return [
        Asked(title.replace("_", " "), text, tuple(group)) for (title, text), group in found.items()
    ]


def plain_passages(texts: Iterable[str]) -> Iterator[Asked]:
    """Plain text cut into passages that are long enough to ask about."""
    for text in texts:
        for span in split_passages(text, words=PASSAGE_WORDS):
            words = text[span.start : span.end].split()
            if len(words) >= FEWEST_WORDS:
                yield Asked("", " ".join(words))


def editions(
    labelled: Sequence[Asked], plain: Sequence[Asked], plan: Curriculum, rng: random.Random
) -> Iterator[list[Exam]]:
    """The exams of each edition, shuffled; plain passages take turns."""
    supply = cycle(plain)
    count = round(plan.unlabelled * len(labelled)) if plain else 0
    for _ in range(plan.editions):
        asked = [*labelled, *islice(supply, count)]
        exams = [exam(passage, plan, rng) for passage in asked]
        rng.shuffle(exams)
        yield [each for each in exams if each.turns]


def exam(asked: Asked, plan: Curriculum, rng: random.Random) -> Exam:
    """One passage with some of its questions and some made up, in any order."""
    chosen = rng.sample(asked.questions, min(plan.human, len(asked.questions)))
    turns = [(question.text, rng.choice(question.answers).text) for question in chosen]
    share = 1 if asked.questions else 2
    gaps = gap_questions(asked.text, plan.gaps * share, rng)
    turns += [(gap.text, asked.text[gap.start : gap.end]) for gap in gaps]
    turns += quote_turns(asked.text, plan.quotes * share, rng)
    rng.shuffle(turns)
    return Exam(asked.title, asked.text, tuple(turns))


def quote_turns(text: str, count: int, rng: random.Random) -> list[tuple[str, str]]:
    """Ask for the words that follow some words of `text`; the answer ends with their sentence."""
    words = text.split()
    turns = []
    for _ in range(count if len(words) >= FEWEST_WORDS else 0):
        cue = rng.randint(3, 6)
        start = rng.randrange(len(words) - cue - 8)
        rest = words[start + cue : start + cue + 20]
        ends = [i for i, word in enumerate(rest, 1) if ENDING.search(word) and i >= 3]
        answer = " ".join(rest[: ends[0] if ends else len(rest)])
        turns.append((f'What follows "{" ".join(words[start : start + cue])}"?', answer))
    return turns
