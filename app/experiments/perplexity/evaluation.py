"""Perplexity of a text, each stride with the passage chosen for it and without any.

What a model reads is always a passage, perhaps none, and then the text from some token on; whoever
reads the same is read once. In the layout PREPEND that is every stride that chose a passage while
the window's start stayed. Losses are sums of float32, whatever the model computes in.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby

import numpy as np

from app.experiments.errors import ExperimentError
from app.experiments.models.scorer import Ids, Row, Scorer
from app.experiments.perplexity.retrieval_file import Candidate, Retrieved
from app.experiments.perplexity.strides import Layout, Ranking, Setup, Stride

UNIT = 32  # strides that are scored and stored together where nothing is shared

Choose = Callable[[Retrieved], int]
Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """Losses in nats of the tokens begin..end (the text's first token has none)."""

    begin: int
    end: int
    chosen: int | None  # rank among those retrieved, from 0; None: nothing was retrieved
    losses: tuple[float, ...]
    without: tuple[float, ...]  # of the same tokens and window, without a passage
    judged: tuple[float, ...] = ()  # what each passage was chosen by, where the model was asked


@dataclass(frozen=True, slots=True)
class Context:
    """What stands before the scored tokens: a passage, then the text from `start` on."""

    passage: Tokens
    start: int


Wanted = dict[Context, set[int]]  # text positions to score after each context
Losses = Mapping[Context, Mapping[int, float]]


class Evaluation:
    """One text, one model, one way to choose; `units` scores and yields piece by piece."""

    def __init__(
        self, scorer: Scorer, ids: Sequence[int], setup: Setup, ranking: Ranking, choose: Choose
    ) -> None:
        """`choose` names the passage where `ranking` does not ask the model itself."""
        if scorer.context is not None and setup.longest > scorer.context:
            raise ExperimentError(
                f"{scorer.name} reads {scorer.context} tokens at once; this run needs "
                f"{setup.longest}: lower --window or --doc-tokens"
            )
        self._scorer, self._setup, self._ranking, self._choose = scorer, setup, ranking, choose
        self._ids: Ids = np.asarray(ids, np.int64)
        self._tokens = lru_cache(maxsize=None)(self._encode)
        self.cut: set[str] = set()  # passages longer than doc_tokens
        self.tokens_read = 0

    def units(
        self, strides: Sequence[Stride], found: Sequence[Retrieved]
    ) -> Iterator[list[Scored]]:
        """The scores of all strides, in order, some at a time."""
        pairs = list(zip(strides, found, strict=True))
        if self._setup.layout is Layout.PREPEND:
            for _, group in groupby(pairs, key=lambda pair: pair[0].window):
                yield self._unit(list(group))
        else:
            for first in range(0, len(pairs), UNIT):
                yield self._unit(pairs[first : first + UNIT])

    def pass_over(self, found: Sequence[Retrieved]) -> None:
        """Count the cut passages of strides that were scored in an earlier part of the run."""
        for each in found:
            self._candidates(each)

    def _unit(self, pairs: Sequence[tuple[Stride, Retrieved]]) -> list[Scored]:
        wanted: Wanted = {}
        readers = [self._candidates(found) for _, found in pairs]
        for (stride, _), candidates in zip(pairs, readers, strict=True):
            _want(wanted, self._context(stride, ()), _targets(stride))
            for passage in candidates.values():
                positions = {*_targets(stride), *self._ranked(stride)}
                _want(wanted, self._context(stride, passage), positions)
        losses = self._score(wanted)
        return [
            self._scored(stride, candidates, losses)
            for (stride, _), candidates in zip(pairs, readers, strict=True)
        ]

    def _candidates(self, found: Retrieved) -> dict[int, Tokens]:
        """The passages to read for a stride, by rank: all where the model itself will choose."""
        if not found.candidates:
            return {}
        ranks = range(len(found.candidates))
        chosen = ranks if self._asks_model else [self._choose(found)]
        return {rank: self._tokens(found.candidates[rank]) for rank in chosen}

    @property
    def _asks_model(self) -> bool:
        return self._ranking in (Ranking.LM, Ranking.ORACLE)

    def _encode(self, candidate: Candidate) -> Tokens:
        """A passage's tokens: none of the tokenizer's own, so that both runs differ by it alone."""
        ids = self._scorer.encode(candidate.read)
        if not ids:
            raise ExperimentError(f"passage {candidate.passage_id or ''} has no text to read")
        if len(ids) > self._setup.doc_tokens:
            self.cut.add(candidate.read)
        return tuple(ids[: self._setup.doc_tokens])

    def _context(self, stride: Stride, passage: Tokens) -> Context:
        """In the paper's layout a passage takes the place of the window's first tokens."""
        taken = len(passage) if self._setup.layout is Layout.PAPER else 0
        return Context(passage, stride.window + taken)

    def _ranked(self, stride: Stride) -> range:
        """The prefix tokens by which the model chooses."""
        if self._ranking is not Ranking.LM:
            return range(0)
        first = max(stride.begin - self._setup.rank_tokens, stride.window + 1)
        return range(first, stride.begin)

    def _score(self, wanted: Wanted) -> Losses:
        rows = [self._row(context, positions) for context, positions in wanted.items()]
        self.tokens_read += sum(len(row.ids) for row in rows)
        found = self._scorer.losses(rows)
        return {
            context: dict(zip(sorted(positions), losses.tolist(), strict=True))
            for (context, positions), losses in zip(wanted.items(), found, strict=True)
        }

    def _row(self, context: Context, positions: set[int]) -> Row:
        text = self._ids[context.start : max(positions) + 1]
        ids = np.concatenate([np.array(context.passage, np.int64), text])
        shift = len(context.passage) - context.start
        return Row(ids, np.array(sorted(positions), np.int64) + shift)

    def _scored(self, stride: Stride, candidates: Mapping[int, Tokens], losses: Losses) -> Scored:
        def of(passage: Tokens, positions: range) -> tuple[float, ...]:
            found = losses.get(self._context(stride, passage), {})
            return tuple(found[position] for position in positions)

        targets = _targets(stride)
        without = of((), targets)
        if not candidates:
            return Scored(stride.begin, stride.end, None, without, without)
        judged: tuple[float, ...] = ()
        chosen = next(iter(candidates))
        if self._asks_model:
            by = targets if self._ranking is Ranking.ORACLE else self._ranked(stride)
            judged = tuple(sum(of(passage, by)) for passage in candidates.values())
            chosen = int(np.argmin(judged))  # the earlier of two that are equal
        losses_with = of(candidates[chosen], targets)
        return Scored(stride.begin, stride.end, chosen, losses_with, without, judged)


def _targets(stride: Stride) -> range:
    """The tokens to score: all but the text's first, before which nothing stands."""
    return range(max(stride.begin, 1), stride.end)


def _want(wanted: Wanted, context: Context, positions: range | set[int]) -> None:
    if positions:
        wanted.setdefault(context, set()).update(positions)
