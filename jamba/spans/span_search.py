"""The likeliest of the spans that may be written behind a prompt, and how likely each is.

Every path is a request of its own that goes on from the prompt's stored state, so paths run side
by side in one batch. A path gives the log probability of each of its beginnings that may end, and
of each turn it did not take; the likeliest turns are followed next, best first.
"""

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from typing import Protocol

import numpy as np

from jamba.config import JambaError
from jamba.sampling import Row, SamplingParams
from jamba.sequence import FinishReason, Metrics, Request

Tokens = tuple[int, ...]
Submit = Callable[[SamplingParams], Request]  # `Engine.submit` with a prompt


class SearchCancelled(JambaError):
    """A request of the search was cancelled."""


class Language(Protocol):
    """Which token sequences may be written."""

    def following(self, written: Tokens) -> frozenset[int]:
        """The tokens that may come next."""
        ...

    def may_end(self, written: Tokens) -> bool:
        """Whether what is written may stand alone."""
        ...


@dataclass(frozen=True, slots=True)
class Effort:
    """How far to look."""

    longest: int = 32  # tokens of a span
    paths: int = 4  # side by side
    tokens: int = 32  # that other paths may take beside the likeliest; 0: no other path
    power: float = 1.0  # of the length in `Continuation.score`


@dataclass(frozen=True, slots=True)
class Continuation:
    """Tokens and an end, and the log probability of them all."""

    tokens: Tokens
    logprob: float

    def score(self, power: float) -> float:
        """The log probability over the number of tokens, end included, to the `power`."""
        return self.logprob / math.pow(len(self.tokens) + 1, power)


@dataclass(frozen=True, slots=True)
class Cost:
    """What some paths took together."""

    first: Metrics  # of the first path: in a search, what a free answer takes, too
    more_tokens: int  # that were read or written beside it


@dataclass(frozen=True, slots=True)
class Searched:
    """What was found, the best by score first, and what it took.

    `is_best` says that nothing unseen is better than the best of `spans`.
    """

    spans: tuple[Continuation, ...]
    others: tuple[Continuation | None, ...]  # those asked about; None: cannot be written
    is_best: bool
    cost: Cost


def search(
    submit: Submit,
    language: Language,
    ends: Collection[int],
    others: Sequence[Tokens] = (),
    effort: Effort = Effort(),
) -> Searched:
    """The best spans of `language` behind a prompt; `others` are weighed beside the first path.

    An end is any of `ends`. What is found depends on the prompt alone, not on what was cached,
    unless the prompt's state cannot be kept: then no further path is tried, since each would read
    it again. Ties go to the lower tokens. Raises SearchCancelled, and what the engine raises.
    """
    found = _Found(language, frozenset(ends), effort)
    begin = partial(_begin, submit, language=language, ends=found.ends, longest=effort.longest)
    paths = _finished([begin(()), *(_begin(submit, other, found.ends) for other in others)])
    found.take(paths[0], 0)
    tried = paths[1:]
    while wave := found.next_turns(room := _room(tried, effort.tokens)):
        paths_off = _finished([begin(turn, room=room // len(wave)) for turn in wave])
        for turn, path in zip(wave, paths_off, strict=True):
            found.take(path, len(turn))
        tried += paths_off
    weighed = _ended(others, paths[1:], found.ends)
    return Searched(found.ranked(), weighed, found.is_best, _cost(paths[0], tried))


def weigh(
    submit: Submit, asked: Sequence[Tokens], ends: Collection[int]
) -> tuple[tuple[Continuation | None, ...], Cost]:
    """Each of some continuations, at least one, with its log probability, in one batch.

    None: one cannot be written, for it holds an end or is too long. Raises as `search` does.
    """
    paths = _finished([_begin(submit, tokens, frozenset(ends)) for tokens in asked])
    return _ended(asked, paths, frozenset(ends)), _cost(paths[0], paths[1:])


def _ended(
    asked: Sequence[Tokens], paths: Sequence["_Path"], ends: frozenset[int]
) -> tuple[Continuation | None, ...]:
    pairs = zip(asked, paths, strict=True)
    return tuple(path.ended(len(tokens), ends) for tokens, path in pairs)


def _cost(first: "_Path", others: Sequence["_Path"]) -> Cost:
    return Cost(first.metrics, sum(path.read + len(path.tokens) for path in others))


def _room(tried: Sequence["_Path"], tokens: int) -> int:
    """How many tokens further paths may take: none where each of them reads the prompt again."""
    if any(path.read for path in tried):
        return 0
    return tokens - sum(len(path.tokens) for path in tried)


@dataclass(frozen=True, slots=True)
class _Path:
    """What one request wrote; row n holds the log probabilities (V,) before token n."""

    tokens: Tokens
    rows: tuple[Row, ...]  # one more than tokens where an end was chosen
    metrics: Metrics
    is_cut: bool  # before it came to an end

    @property
    def read(self) -> int:
        """Tokens of the prompt that were not restored."""
        return self.metrics.prompt_tokens - self.metrics.cached_tokens

    def logprob(self, length: int) -> float:
        """Of its first `length` tokens."""
        return float(sum(row[t] for t, row in zip(self.tokens[:length], self.rows, strict=False)))

    def ended(self, length: int, ends: frozenset[int]) -> Continuation | None:
        """Its first `length` tokens and an end, whichever it is; None where it did not come far."""
        if len(self.rows) <= length:
            return None
        end = float(np.logaddexp.reduce(self.rows[length][sorted(ends)]))
        return Continuation(self.tokens[:length], self.logprob(length) + end)


class _Found:
    """The spans that were met, and the turns that were not taken yet."""

    def __init__(self, language: Language, ends: frozenset[int], effort: Effort) -> None:
        self.ends = ends
        self._language, self._effort = language, effort
        self._spans: dict[Tokens, Continuation] = {}
        self._turns: list[tuple[float, Tokens]] = []  # a heap: minus log probability, tokens
        self._cut = float("-inf")  # the best log probability of a path that was cut

    def take(self, path: _Path, known: int) -> None:
        """Note the spans on a path, and the turns off it behind its first `known` tokens."""
        if path.is_cut:
            self._cut = max(self._cut, path.logprob(len(path.tokens)))
        so_far = 0.0
        for length, row in enumerate(path.rows):
            written, taken = path.tokens[:length], path.tokens[length : length + 1]
            if self._language.may_end(written) and (span := path.ended(length, self.ends)):
                self._spans[written] = span
            if known <= length < self._effort.longest:
                for token in self._language.following(written) - self.ends - {*taken}:
                    heappush(self._turns, (-so_far - row[token], (*written, token)))
            so_far += sum(row[token] for token in taken)

    def next_turns(self, room: int) -> list[Tokens]:
        """The likeliest turns that may lead to the best span and have room for a token more."""
        turns: list[Tokens] = []
        while self._turns and len(turns) < self._effort.paths and self._may_win(-self._turns[0][0]):
            if (len(self._turns[0][1]) + 1) * (len(turns) + 1) > room:
                break
            turns.append(heappop(self._turns)[1])
        return turns

    def ranked(self) -> tuple[Continuation, ...]:
        """All spans met, the best first."""
        power = self._effort.power
        return tuple(sorted(self._spans.values(), key=lambda s: (-s.score(power), s.tokens)))

    @property
    def is_best(self) -> bool:
        """Whether no span that was not met can be better than the best that was."""
        turn = -self._turns[0][0] if self._turns else float("-inf")
        return not self._may_win(max(turn, self._cut))

    def _may_win(self, logprob: float) -> bool:
        """Whether a span that begins with this log probability may yet be the best: at most all
        that follows is certain, up to the longest."""
        power = self._effort.power
        best = max((span.score(power) for span in self._spans.values()), default=float("-inf"))
        return logprob / math.pow(self._effort.longest + 1, power) > best


def _begin(
    submit: Submit,
    prefix: Tokens,
    ends: frozenset[int],
    language: Language | None = None,
    longest: int = 0,
    room: int | None = None,
) -> Request:
    """Ask for `prefix` and then the likeliest way on in `language`; without one, for an end."""

    def allowed(made: Sequence[int]) -> frozenset[int]:
        written = tuple(made)
        if len(written) < len(prefix):
            return frozenset({prefix[len(written)]})
        if language is None:
            return ends
        ways = language.following(written) - ends if len(written) < longest else frozenset()
        return ways | ends if language.may_end(written) else ways

    most = max(longest, len(prefix)) + 1  # the last is for the end
    most = most if room is None else min(most, room)
    return submit(SamplingParams(max_tokens=most, rows=True, stop_ids=ends, allowed=allowed))


def _finished(requests: Sequence[Request]) -> list[_Path]:
    """The paths of some requests, which run at the same time; on an error all are cancelled."""
    try:
        return [_path(request) for request in requests]
    finally:
        for request in requests:
            request.finish(FinishReason.CANCELLED)


def _path(request: Request) -> _Path:
    tokens = tuple(request.tokens())
    if request.finish_reason is FinishReason.CANCELLED:
        raise SearchCancelled("the search was cancelled")
    last = () if request.ending is None else (request.ending,)
    rows = tuple(choice.row for choice in (*request.chosen, *last) if choice.row is not None)
    return _Path(tokens, rows, request.metrics, request.finish_reason is FinishReason.LENGTH)
