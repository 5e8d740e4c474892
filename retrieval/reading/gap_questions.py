"""Questions without labels: a sentence of the passage asks for some words it no longer has.

The words that are left are thinned out and turned around, as people's questions share only some of
a sentence's words (Lewis et al., arXiv 1906.04980, section 2.3, with rules instead of a model).
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.sentences import sentence_spans

_WORD = re.compile(r"\w+(?:[-'’.,]\w+)*")
_YEAR = re.compile(r"(?:1\d|20)\d\d")
_FUNCTION = frozenset(
    "a an and are as at be been but by did do does for from had has have he her his how i if in is "
    "it its may more most no not of on one or our she so some such than that the their them then "
    "there these they this those to up was we were what when where which while who will with would "
    "you your also after all any before both can could each into only other over same should "
    "through under until very".split()
)
_PLACES = frozenset("in at from to near across throughout".split())
_MONTHS = frozenset(
    "january february march april may june july august september october november december".split()
)
LONGEST = 5  # words of an answer
NEAR = 9  # words on either side that may be in the question
FEWEST = 4  # words that a question must have beside its question word
DROPPED, DROPPED_FUNCTION = 0.15, 0.4  # how often a word of each kind is left out


@dataclass(frozen=True, slots=True)
class Gap:
    """Words `first` to `last` of a sentence, and the question words that may stand for them."""

    first: int
    last: int
    asked_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GapQuestion:
    """A question about a text, and the characters `start` to `end` of the text that answer it."""

    text: str
    start: int
    end: int


def gap_questions(text: str, count: int, rng: random.Random) -> list[GapQuestion]:
    """Up to `count` questions about `text`."""
    found = [
        (begin, words, gap)
        for begin, end in sentence_spans(text)
        for words in [list(_WORD.finditer(text[begin:end]))]
        for gap in gaps([word.group() for word in words])
    ]
    questions: list[GapQuestion] = []
    for begin, words, gap in rng.sample(found, len(found)):
        if len(questions) == count:
            break
        if asked := _question([word.group() for word in words], gap, rng):
            start, end = words[gap.first].start(), words[gap.last].end()
            questions.append(GapQuestion(asked, begin + start, begin + end))
    return questions


def gaps(words: list[str]) -> Iterator[Gap]:
    """Numbers, names, and the few words behind an article or a preposition."""
    at = 0
    while at < len(words):
        last = _name_end(words, at)
        if words[at][0].isdigit():
            yield _number(words, at)
        elif last is not None:
            is_place = at > 0 and words[at - 1].lower() in _PLACES
            yield Gap(
                at, last, ("where", "what", "which") if is_place else ("who", "what", "which")
            )
            at = last
        elif at > 0 and words[at - 1].lower() in _FUNCTION and words[at].lower() not in _FUNCTION:
            yield Gap(at, _phrase_end(words, at), ("what",))
        at += 1


def _number(words: list[str], at: int) -> Gap:
    if _YEAR.fullmatch(words[at]):
        begins = at - 1 if at and words[at - 1].lower() in _MONTHS else at
        return Gap(begins, at, ("when", "what year", "in what year"))
    before = at and words[at - 1].lower() in _MONTHS
    return Gap(at - 1, at, ("when",)) if before else Gap(at, at, ("how many", "how much"))


def _name_end(words: list[str], at: int) -> int | None:
    """The last word of the name that begins here; None where none does.

    The first word of a sentence begins one only if a second capitalised word follows.
    """
    if not _is_capitalised(words[at]):
        return None
    last = at
    while last + 1 < len(words) and last - at + 1 < LONGEST and _is_capitalised(words[last + 1]):
        last += 1
    return None if at == 0 and last == 0 else last


def _is_capitalised(word: str) -> bool:
    return word[0].isupper() and word.lower() not in _FUNCTION


def _phrase_end(words: list[str], at: int) -> int:
    """The last of the words in a row that carry meaning, three at most."""
    last = at
    while last + 1 < len(words) and last - at < 2 and words[last + 1].lower() not in _FUNCTION:
        last += 1
    return last


def _question(words: list[str], gap: Gap, rng: random.Random) -> str | None:
    before = _thinned(words[max(0, gap.first - NEAR) : gap.first], rng)
    after = _thinned(words[gap.last + 1 : gap.last + 1 + NEAR], rng)
    if len(before) + len(after) < FEWEST:
        return None
    asked_by = rng.choice(gap.asked_by)
    order = rng.choice(
        ([asked_by, *after, *before], [asked_by, *before, *after], [*before, asked_by, *after])
    )
    text = " ".join(order)
    return text[0].upper() + text[1:] + "?"


def _thinned(words: list[str], rng: random.Random) -> list[str]:
    return [
        word
        for word in words
        if rng.random() > (DROPPED_FUNCTION if word.lower() in _FUNCTION else DROPPED)
    ]
