"""Every span of some sequences, as one automaton: what may follow is one look-up.

It has at most two states a letter (Blumer et al. 1985). What only takes the steps it allows can say
nothing that does not stand in one of the sequences, letter for letter. Letters are anything that
can be a key: tokens, or whole words.
"""

from collections.abc import Hashable, Iterable, KeysView, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

START = 0
Letter = TypeVar("Letter", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a span ends: behind letter `end - 1` of sequence `sequence`."""

    sequence: int
    end: int


@dataclass(slots=True)
class _State(Generic[Letter]):
    """All spans that end at the same places; `longest` is the length of the longest."""

    longest: int
    shorter: int | None  # the state of their longest suffix that ends elsewhere too
    first: Place | None  # where they end for the first time
    following: dict[Letter, int] = field(default_factory=dict)  # to the next state


class SuffixAutomaton(Generic[Letter]):
    """The spans of `sequences`, none of which reaches from one sequence into another."""

    def __init__(self, sequences: Iterable[Sequence[Letter]]) -> None:
        self._states: list[_State[Letter]] = [_State(0, None, None)]
        for number, sequence in enumerate(sequences):
            last = START
            for at, letter in enumerate(sequence):
                last = self._extend(last, letter, Place(number, at + 1))

    def allowed(self, state: int) -> KeysView[Letter]:
        """The letters that follow the span somewhere; none where it only ends a sequence."""
        return self._states[state].following.keys()

    def step(self, state: int, letter: Letter) -> int | None:
        """The state of the span with `letter` behind it; None if that stands nowhere."""
        return self._states[state].following.get(letter)

    def walk(self, letters: Iterable[Letter]) -> int | None:
        """The state of a whole span; None if it stands nowhere."""
        state: int | None = START
        for letter in letters:
            if state is None:
                return None
            state = self.step(state, letter)
        return state

    def first(self, state: int) -> Place | None:
        """Where the spans of a state end for the first time; None for the empty span."""
        return self._states[state].first

    def _extend(self, last: int, letter: Letter, place: Place) -> int:
        """The state of the whole sequence so far with `letter` behind it."""
        known = self.step(last, letter)
        if known is not None:  # an earlier sequence has it
            enough = self._states[known].longest == self._states[last].longest + 1
            return known if enough else self._split(last, letter, known)
        new = self._add(_State(self._states[last].longest + 1, START, place))
        at: int | None = last
        while at is not None and letter not in self._states[at].following:
            self._states[at].following[letter] = new
            at = self._states[at].shorter
        if at is not None:
            target = self._states[at].following[letter]
            enough = self._states[target].longest == self._states[at].longest + 1
            self._states[new].shorter = target if enough else self._split(at, letter, target)
        return new

    def _split(self, at: int, letter: Letter, target: int) -> int:
        """Part the shorter spans of `target`, which now end at more places, from the longer."""
        whole = self._states[target]
        shorter = self._add(
            _State(self._states[at].longest + 1, whole.shorter, whole.first, dict(whole.following))
        )
        whole.shorter = shorter
        back: int | None = at
        while back is not None and self._states[back].following.get(letter) == target:
            self._states[back].following[letter] = shorter
            back = self._states[back].shorter
        return shorter

    def _add(self, state: _State[Letter]) -> int:
        self._states.append(state)
        return len(self._states) - 1
