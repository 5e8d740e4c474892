"""Mined spans -> training examples, as in Spider: a window around the span asks for a passage.

Of the passages that share a span one becomes the query and another the one to be found; a third,
of the same document but without the span, is the negative (sections 3.1 and 3.2 of the paper).
"""

import random
import re

from retrieval.records import titled
from retrieval.spider.mined_spans import MinedSpan, MinedSpans
from retrieval.spider.recurring_spans import Occurrence
from retrieval.storage.store import Store
from retrieval.training.training_batches import Triple, fresh, numbers_of, rng_of
from retrieval.types import RetrievalError

SHORTEST_QUERY, LONGEST_QUERY = 5, 30  # tokens: words and marks; the paper counts WordPieces
SPAN_KEPT = 0.5  # the share of queries that keep the span
_TOKEN = re.compile(r"\w+|[^\w\s]")


class SpanBatches:
    """Batches of mined spans: each span once an epoch, its passages and its window drawn anew."""

    def __init__(
        self, store: Store, spans: MinedSpans, *, separator: str, size: int, seed: int
    ) -> None:
        self._store = store
        self._spans = spans
        self._separator = separator
        self._size = size
        self._seed = seed
        self._count = len(spans)

    def __len__(self) -> int:
        return self._count

    def batch(self, step: int) -> list[Triple]:
        """The examples of a step; a passage is used twice in it only where none else is left."""
        taken: set[int] = set()
        return [
            self._triple(self._spans[number], rng_of(self._seed, epoch, number), taken)
            for epoch, number in numbers_of(step, self._size, self._count, self._seed)
        ]

    def _triple(self, span: MinedSpan, rng: random.Random, taken: set[int]) -> Triple:
        query, positive, negative = draw_rows(span, rng, taken)
        stored = self._store.passages_by_row([query, positive, negative])
        if len(stored) < 3:
            raise RetrievalError("the index lost passages meanwhile: train anew on what it holds")
        places = [o for o in span.occurrences if span.rows[o.passage] == query]
        window = query_window(stored[query].text, rng.choice(places), rng)
        passages = [
            titled(stored[row].title, stored[row].text, self._separator)
            for row in (positive, negative)
        ]
        return Triple(window, *passages)


def draw_rows(span: MinedSpan, rng: random.Random, taken: set[int]) -> tuple[int, int, int]:
    """The rows of query, positive and negative, rather none of those `taken`; adds them to it."""
    holders = sorted({span.rows[o.passage] for o in span.occurrences})
    others = [row for row in span.rows if row not in holders]
    chosen: list[int] = []
    for options in (holders, holders, others):
        row = fresh(rng, [row for row in options if row not in chosen], taken)
        chosen.append(row)
        taken.add(row)
    query, positive, negative = chosen
    return query, positive, negative


def query_window(text: str, span: Occurrence, rng: random.Random) -> str:
    """5 to 30 tokens of `text` around the span, which is cut out in half of the queries.

    Every window that holds the span is as likely. One has five tokens more than the span at least,
    where the passage has, so that something is left without it.
    """
    tokens = [match.span() for match in _TOKEN.finditer(text)]
    first = next(i for i, (start, _) in enumerate(tokens) if start >= span.start)
    after = next((i for i, (start, _) in enumerate(tokens) if start >= span.end), len(tokens))
    length = max(rng.randint(SHORTEST_QUERY, LONGEST_QUERY), after - first + SHORTEST_QUERY)
    length = min(length, len(tokens))
    begin = rng.randint(max(0, after - length), min(first, len(tokens) - length))
    start, end = tokens[begin][0], tokens[begin + length - 1][1]
    without = f"{text[start : span.start]} {text[span.end : end]}"
    kept = rng.random() < SPAN_KEPT or not without.strip()
    return " ".join((text[start:end] if kept else without).split())
