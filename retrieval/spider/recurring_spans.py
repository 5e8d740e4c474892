"""Words that return in several passages of one document; exact, one document at a time.

Spider (Ram et al., 2022) learns from such spans without a label: two passages that share one are
probably about the same thing. An n-gram can only recur where both of its (n-1)-grams do, so each
length looks at the few places that the one before has left.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

_TOKEN = re.compile(r"\w+|[^\w\s]|\n\s*\n")
STOP_WORDS = frozenset(
    "a about above after again against all also am an and any are as at be because been before "
    "being below between both but by can could did do does doing don down during each few for from "
    "further had has have having he her here hers herself him himself his how i if in into is it "
    "its itself just me more most my myself no nor not now of off on once only or other our ours "
    "ourselves out over own s same she should so some such t than that the their theirs them "
    "themselves then there these they this those through to too under until up very was we were "
    "what when where which while who whom why will with would you your yours yourself "
    "yourselves".split()
)


@dataclass(frozen=True, slots=True)
class SpanRules:
    """Which n-grams are spans; the defaults are the paper's.

    A span has `shortest` to `longest` tokens, letters or digits only, and not stop words alone;
    without `stop_word_ends` it neither begins nor ends with one. A single token must be
    capitalised or a number of four digits. Without `last_passage` a document's last is left out.
    """

    shortest: int = 2
    longest: int = 10
    stop_word_ends: bool = True
    last_passage: bool = True


PAPER = SpanRules()
# As the published checkpoint was made: DPR's last passages end with the article's first words.
OFFICIAL_CODE = SpanRules(longest=9, stop_word_ends=False, last_passage=False)


class Token(NamedTuple):
    """A word of a document: `passages[passage][start:end]`.

    Spans stay within one `run`; `alone` says whether the word may be a span by itself.
    """

    word: str
    passage: int
    start: int
    end: int
    run: int
    stop: bool
    alone: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a recurring span stands: `passages[passage][start:end]`."""

    passage: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class RecurringSpan:
    """Lower-cased words, single spaces between them, and every place where they stand, in order."""

    words: str
    occurrences: tuple[Occurrence, ...]


def spider_spans(passages: Sequence[str], rules: SpanRules = PAPER) -> list[RecurringSpan]:
    """The spans of a document's passages that Spider learns from, by their first occurrence.

    They are maximal, stand in two passages at least, and in one at least they do not (section 3.1
    of the paper).
    """
    used = passages if rules.last_passage else passages[:-1]
    if len(used) < 3:
        return []
    spans = recurring_spans(list(_tokens(used)), rules)
    return [span for span in spans if len({o.passage for o in span.occurrences}) < len(used)]


def recurring_spans(tokens: Sequence[Token], rules: SpanRules) -> list[RecurringSpan]:
    """Maximal spans in two passages at least, by their first occurrence, the shorter one first.

    A span is maximal unless a longer one holds it and occurs as often: then every occurrence of the
    shorter one lies in one of the longer.
    """
    table = _Table.of(tokens)
    levels = _levels(table, rules)
    covered = _covered(levels, rules.shortest)
    found = [
        (int(places[0]), length, places)
        for length in range(rules.shortest, len(levels) + 1)
        for places in _places(levels[length - 1], ~covered[length - 1])
    ]
    found.sort(key=lambda item: item[:2])
    return [_span(tokens, places, length) for _, length, places in found]


def _tokens(passages: Sequence[str]) -> Iterator[Token]:
    """Words of letters or of digits; marks, blank lines and mixtures of both begin another run."""
    run = 0
    for number, text in enumerate(passages):
        run += 1
        for match in _TOKEN.finditer(text):
            word = match.group()
            if not (word.isalpha() or word.isdigit()):
                run += 1
                continue
            lower = word.lower()
            alone = word[0].isupper() or (len(word) == 4 and word.isdigit())
            yield Token(lower, number, *match.span(), run, lower in STOP_WORDS, alone)


@dataclass(frozen=True, slots=True)
class _Table:
    """The tokens as columns, (T,) each; `word` numbers them by their text."""

    word: Ints
    passage: Ints
    run: Ints
    stop: Flags
    alone: Flags

    @classmethod
    def of(cls, tokens: Sequence[Token]) -> "_Table":
        numbers: dict[str, int] = {}
        rows = [
            (numbers.setdefault(t.word, len(numbers)), t.passage, t.run, t.stop, t.alone)
            for t in tokens
        ]
        columns = np.array(rows, np.int64).reshape(-1, 5).T
        return cls(columns[0], columns[1], columns[2], columns[3] > 0, columns[4] > 0)


@dataclass(frozen=True, slots=True)
class _Level:
    """The n-grams of one length that recur: the group of each place and the spans among them."""

    group: Ints  # (T,) of the n-gram that begins at a token, -1 where none recurs
    allowed: Flags  # (T,) where it may be a span
    count: Ints  # (G,) occurrences of a group as a span, 0 where it is none


def _levels(table: _Table, rules: SpanRules) -> list[_Level]:
    """One level for each length from 1, as far as anything recurs."""
    places = np.arange(len(table.word))
    keys = table.word
    levels: list[_Level] = []
    for length in range(1, rules.longest + 1):
        level = _level(table, keys, places, length, rules)
        if not (level.group >= 0).any():
            break
        levels.append(level)
        places = _longer(table, level, length)
        words = len(table.word)  # above every word's number
        keys = level.group[places] * words + table.word[places + length]
    return levels


def _level(table: _Table, keys: Ints, places: Ints, length: int, rules: SpanRules) -> _Level:
    """Group the n-grams that begin at `places` by their `keys`."""
    group = np.full(len(table.word), -1)
    allowed = np.zeros(len(table.word), np.bool_)
    if not len(places):
        return _Level(group, allowed, np.empty(0, np.int64))
    _, numbers = np.unique(keys, return_inverse=True)
    groups = int(numbers.max()) + 1
    kept = _returning(numbers, table.passage[places], groups)[numbers]
    places, numbers = places[kept], numbers[kept]
    group[places] = numbers
    spans = _may_be_spans(table, places, length, rules)
    returning = _returning(numbers[spans], table.passage[places[spans]], groups)
    allowed[places] = spans & returning[numbers]
    count = np.bincount(group[allowed], minlength=groups)
    return _Level(group, allowed, count)


def _returning(group: Ints, passage: Ints, groups: int) -> Flags:
    """(groups,) whether a group stands in two passages; `passage` ascends."""
    first = np.zeros(groups, np.int64)
    first[group[::-1]] = passage[::-1]  # of several writes to one place the last one stays
    returns = np.zeros(groups, np.bool_)
    returns[group[passage != first[group]]] = True
    return returns


def _may_be_spans(table: _Table, places: Ints, length: int, rules: SpanRules) -> Flags:
    """Whether the n-grams at `places` obey the rules on lengths, stop words and single words."""
    last = places + length - 1
    if length < rules.shortest:
        return np.zeros(len(places), np.bool_)
    if length == 1:
        return table.alone[places] & ~table.stop[places]
    if not rules.stop_word_ends:
        return ~table.stop[places] & ~table.stop[last]
    stops = np.concatenate([[0], np.cumsum(table.stop)])
    inside: Ints = stops[last + 1] - stops[places]
    return inside < length


def _longer(table: _Table, level: _Level, length: int) -> Ints:
    """Places where both n-grams recur that an n-gram of one token more is made of."""
    first = np.flatnonzero(level.group[:-1] >= 0)
    first = first[(level.group[first + 1] >= 0) & (first + length < len(table.word))]
    longer: Ints = first[table.run[first] == table.run[first + length]]
    return longer


def _covered(levels: Sequence[_Level], shortest: int) -> list[Flags]:
    """For each level, which groups lie in a longer span that occurs as often."""
    covered = [np.zeros(len(level.count), np.bool_) for level in levels]
    for long, outer in enumerate(levels):
        groups, first = _first_places(outer)
        times = outer.count[groups]
        for short in range(shortest - 1, long):
            inner = levels[short]
            for offset in range(long - short + 1):
                held = inner.group[first + offset]
                covered[short][held[inner.count[held] == times]] = True
    return covered


def _first_places(level: _Level) -> tuple[Ints, Ints]:
    """The groups that are spans, and where each occurs first."""
    places = np.flatnonzero(level.allowed)
    groups, first = np.unique(level.group[places], return_index=True)
    return groups, places[first]


def _places(level: _Level, wanted: Flags) -> Iterator[Ints]:
    """For each span among the `wanted` groups the tokens it begins at, ascending."""
    places = np.flatnonzero(level.allowed)
    places = places[wanted[level.group[places]]]
    if not len(places):
        return
    groups = level.group[places]
    order = np.argsort(groups, kind="stable")
    borders = np.flatnonzero(np.diff(groups[order])) + 1
    yield from np.split(places[order], borders)


def _span(tokens: Sequence[Token], places: Ints, length: int) -> RecurringSpan:
    first = int(places[0])
    words = " ".join(token.word for token in tokens[first : first + length])
    occurrences = tuple(
        Occurrence(tokens[at].passage, tokens[at].start, tokens[at + length - 1].end)
        for at in places.tolist()
    )
    return RecurringSpan(words, occurrences)
