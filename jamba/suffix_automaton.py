"""Every span of some token sequences, as one automaton: what may follow is one look-up.

It has at most two states a token (Blumer et al. 1985). Decoding that only takes the steps it allows
can say nothing that does not stand in one of the sequences, word for word.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

START = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span ends: behind token `end - 1` of sequence `sequence`."""

    sequence: int
    end: int


@dataclass(slots=True)
class _State:
    """All spans that end at the same places; `longest` is the length of the longest."""

    longest: int
    shorter: int | None  # the state of their longest suffix that ends elsewhere too
    first: Place | None  # where they end for the first time
    following: dict[int, int] = field(default_factory=dict)  # token -> state


class SuffixAutomaton:
    """The spans of `sequences`, none of which reaches from one sequence into another."""

    def __init__(self, sequences: Iterable[Sequence[int]]) -> None:
        self._states = [_State(0, None, None)]
        for number, sequence in enumerate(sequences):
            last = START
            for at, token in enumerate(sequence):
                last = self._extend(last, token, Place(number, at + 1))

    def allowed(self, state: int) -> frozenset[int]:
        """The tokens that follow the span somewhere; empty where it only ends a sequence."""
        return frozenset(self._states[state].following)

    def step(self, state: int, token: int) -> int | None:
        """The state of the span with `token` behind it; None if that stands nowhere."""
        return self._states[state].following.get(token)

    def walk(self, tokens: Iterable[int]) -> int | None:
        """The state of a whole span; None if it stands nowhere."""
        state: int | None = START
        for token in tokens:
            if state is None:
                return None
            state = self.step(state, token)
        return state

    def first(self, state: int) -> Place | None:
        """Where the spans of a state end for the first time; None for the empty span."""
        return self._states[state].first

    def _extend(self, last: int, token: int, place: Place) -> int:
        """The state of the whole sequence so far with `token` behind it."""
        known = self.step(last, token)
        if known is not None:  # an earlier sequence has it
            enough = self._states[known].longest == self._states[last].longest + 1
            return known if enough else self._split(last, token, known)
        new = self._add(_State(self._states[last].longest + 1, START, place))
        at: int | None = last
        while at is not None and token not in self._states[at].following:
            self._states[at].following[token] = new
            at = self._states[at].shorter
        if at is not None:
            target = self._states[at].following[token]
            enough = self._states[target].longest == self._states[at].longest + 1
            self._states[new].shorter = target if enough else self._split(at, token, target)
        return new

    def _split(self, at: int, token: int, target: int) -> int:
        """Part the shorter spans of `target`, which now end at more places, from the longer."""
        whole = self._states[target]
        shorter = self._add(
            _State(self._states[at].longest + 1, whole.shorter, whole.first, dict(whole.following))
        )
        whole.shorter = shorter
        back: int | None = at
        while back is not None and self._states[back].following.get(token) == target:
            self._states[back].following[token] = shorter
            back = self._states[back].shorter
        return shorter

    def _add(self, state: _State) -> int:
        self._states.append(state)
        return len(self._states) - 1
