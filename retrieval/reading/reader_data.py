"""Training examples for the reader: people's questions, wrong passages, and made-up questions."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

from retrieval.evaluation.squad import Question
from retrieval.reading.gap_questions import gap_questions
from retrieval.spider.recurring_spans import Occurrence, SpanRules, Token, recurring_spans

_WORD = re.compile(r"\w+(?:[-'’]\w+)*")
_STOP = frozenset(
    "a an and are as at be been but by for from had has have he her his i in is it its of on or "
    "she that the their them there these they this to was we were which who will with you not "
    "also after before into than then when where while what how can could would may other some "
    "such more most one two first".split()
)


SPANS = SpanRules(shortest=1, longest=6, stop_word_ends=False)


@dataclass(frozen=True, slots=True)
class Example:
    """A question, a passage, and the answer's character span in it; None where it has no answer."""

    question: str
    passage: str
    span: tuple[int, int] | None


def human_examples(questions: Iterable[Question], rng: random.Random) -> list[Example]:
    """Each answerable question with its own passage and one of its answers."""
    picked = [(q, rng.choice(q.answers)) for q in questions if q.answers]
    return [Example(q.text, q.context, (a.start, a.start + len(a.text))) for q, a in picked]


def wrong_passages(
    asked: Iterable[Question], questions: Iterable[Question], rng: random.Random
) -> list[Example]:
    """Each of `asked` with another passage of its article, out of those `questions` stand behind.

    Half the time it is the passage that shares most with the question, else any.

    A passage that holds the answer's words is never taken, so that "no answer" stays true.
    """
    articles: dict[str, list[str]] = defaultdict(list)
    for question in questions:
        if question.context not in articles[question.title]:
            articles[question.title].append(question.context)
    bags = {text: set(words(text)) for texts in articles.values() for text in texts}
    frequency = Counter(word for bag in bags.values() for word in bag)
    examples = []
    for question in asked:
        gold = [answer.text.lower() for answer in question.answers]
        others = [
            text
            for text in articles[question.title]
            if text != question.context and not any(answer in text.lower() for answer in gold)
        ]
        if not others:
            continue
        terms = set(words(question.text))
        if rng.random() < 0.5:
            passage = rng.choice(others)
        else:
            passage = max(others, key=lambda text: _overlap(terms & bags[text], frequency))
        examples.append(Example(question.text, passage, None))
    return examples


def _overlap(shared: set[str], frequency: Counter[str]) -> float:
    return sum(1.0 / log(2.0 + frequency[word]) for word in shared)


def words(text: str) -> list[str]:
    """The lower-cased words of `text`."""
    return [match.group().lower() for match in _WORD.finditer(text)]


def cloze_examples(passages: Sequence[str], rng: random.Random, most: int) -> list[Example]:
    """Questions without labels, from spans that recur between the passages of one document.

    A sentence that holds the span, with the span cut out, is the question; another passage
    with the same span is where it is to be found (Splinter's and Spider's recurring spans).
    """
    found: list[Example] = []
    for occurrences in cloze_spans(passages).values():
        asked, answered = rng.sample(_one_a_passage(occurrences, rng), 2)
        question = _cloze(passages[asked.passage], asked, rng)
        if question is not None:
            passage = passages[answered.passage]
            found.append(Example(question, passage, (answered.start, answered.end)))
    rng.shuffle(found)
    return found[:most]


def _one_a_passage(occurrences: Sequence[Occurrence], rng: random.Random) -> list[Occurrence]:
    chosen: dict[int, Occurrence] = {}
    for occurrence in rng.sample(occurrences, len(occurrences)):
        chosen.setdefault(occurrence.passage, occurrence)
    return [chosen[passage] for passage in sorted(chosen)]


def cloze_spans(passages: Sequence[str]) -> dict[str, Sequence[Occurrence]]:
    """Spans of 1 to 6 words in at least two passages, maximal, with no stop word at an end.

    Single words count only where they are capitalised inside a sentence or are numbers.
    """
    return {span.words: span.occurrences for span in recurring_spans(_tokens(passages), SPANS)}


def _tokens(passages: Sequence[str]) -> list[Token]:
    """The words; a span never crosses punctuation."""
    tokens: list[Token] = []
    run = 0
    for number, text in enumerate(passages):
        before = 0
        for match in _WORD.finditer(text):
            run += not text[before : match.start()].isspace()
            before = match.end()
            word = match.group().lower()
            if match.group() == "unk":  # WikiText's stand-in for rare words
                run += 1
                continue
            alone = _is_name_or_number(text, match)
            tokens.append(Token(word, number, *match.span(), run, word in _STOP, alone))
        run += 1
    return tokens


def _is_name_or_number(text: str, token: re.Match[str]) -> bool:
    word = token.group()
    inside = token.start() >= 2 and text[token.start() - 2] not in ".!?\n"
    return word.isdigit() or (word[0].isupper() and len(word) > 2 and inside)


def _cloze(text: str, span: Occurrence, rng: random.Random) -> str | None:
    """The words around the span, the span replaced by a question word; None if too few remain."""
    left = max(text.rfind(mark, 0, span.start) for mark in (". ", "! ", "? ", "\n"))
    rights = [at for mark in (". ", "! ", "? ", "\n") if (at := text.find(mark, span.end)) >= 0]
    begin, finish = left + 1 if left >= 0 else 0, min(rights, default=len(text))
    before, after = text[begin : span.start].split()[-18:], text[span.end : finish].split()[:18]
    if len(before) + len(after) < 5:
        return None
    word = rng.choice(("what", "which", "who", "[MASK]"))
    return " ".join([*before, word, *after]).strip(" .,;") + "?"


def gap_examples(passages: Sequence[str], most: int, rng: random.Random) -> list[Example]:
    """One question about each of some passages, its answer left out of one of their sentences."""
    found: list[Example] = []
    for passage in rng.sample(passages, len(passages)):
        if len(found) == most:
            break
        for asked in gap_questions(passage, 1, rng):
            found.append(Example(asked.text, passage, (asked.start, asked.end)))
    return found


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What the reader is trained on, in order: `clozes` examples without labels, then questions.

    Each epoch shows every human question with its passage, and a `wrong` share of them with
    another passage of the same article. Against learning by heart, epochs after the first have
    `gaps` made-up questions besides, new ones each time.
    """

    clozes: int = 6000
    epochs: int = 3
    wrong: float = 0.3
    gaps: int = 0
    seed: int = 1


def curriculum(
    questions: Sequence[Question], documents: Sequence[Sequence[str]], plan: Curriculum
) -> list[Example]:
    """The examples of a whole training run; `documents` are lists of unlabelled passages."""
    rng = random.Random(plan.seed)
    share = plan.clozes // max(1, len(documents)) * 3  # rich documents make up for poor ones
    clozes = [c for passages in documents for c in cloze_examples(passages, rng, share)]
    rng.shuffle(clozes)
    examples = clozes[: plan.clozes]
    passages = [passage for document in documents for passage in document]
    for number in range(plan.epochs):
        wrong = rng.sample(questions, int(plan.wrong * len(questions)))
        epoch = human_examples(questions, rng) + wrong_passages(wrong, questions, rng)
        if number:
            epoch += gap_examples(passages, plan.gaps, rng)
        rng.shuffle(epoch)
        examples += epoch
    return examples
