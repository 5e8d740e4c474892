"""Which tokens may come next, so that only whole words of some texts are written, in their order.

The letters of the automaton are words: a span begins and ends where words do, never reaches from
one text into another, and within a word one token follows the other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from jamba.spans.suffix_automaton import START, SuffixAutomaton

Tokens = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the prompt has it, and as it is written where an answer begins with it."""

    tokens: Tokens
    first: Tokens  # none: no span begins with it
    closes: bool = True  # whether a span may end with it


@dataclass(frozen=True, slots=True, order=True)
class WordSpan:
    """The words `texts[text][start:end]`."""

    text: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _At:
    """One way of reading what is written: the words so far, and what the last of them lacks."""

    state: int
    words: int = 0
    rest: Tokens = ()
    closes: bool = False


class LiteralSpans:
    """The spans of whole words of `texts`, as a language of tokens; made for one prompt."""

    def __init__(self, texts: Sequence[Sequence[Word]]) -> None:
        self._words = SuffixAutomaton(texts)
        self._reached: dict[Tokens, frozenset[_At]] = {(): frozenset({_At(START)})}

    def following(self, written: Tokens) -> frozenset[int]:
        """The tokens that may come next; none where nothing does."""
        return frozenset(token for at in self._after(written) for token, _ in self._steps(at))

    def may_end(self, written: Tokens) -> bool:
        """Whether what is written is a span."""
        return self.span(written) is not None

    def span(self, written: Tokens) -> WordSpan | None:
        """The first place of what is written; None if it is no span, or not yet."""
        places = [
            WordSpan(place.sequence, place.end - at.words, place.end)
            for at in self._after(written)
            if at.closes and not at.rest and (place := self._words.first(at.state)) is not None
        ]
        return min(places, default=None)

    def _after(self, written: Tokens) -> frozenset[_At]:
        """All ways of reading what is written; none if it cannot be."""
        if written not in self._reached:
            self._reached[written] = frozenset(
                after
                for at in self._after(written[:-1])
                for token, after in self._steps(at)
                if token == written[-1]
            )
        return self._reached[written]

    def _steps(self, at: _At) -> Iterator[tuple[int, _At]]:
        """Every token that may come next, and where it leads."""
        if at.rest:
            yield at.rest[0], _At(at.state, at.words, at.rest[1:], at.closes)
            return
        for word in self._words.allowed(at.state):
            state = self._words.step(at.state, word)
            tokens = word.tokens if at.words else word.first
            if tokens and state is not None:
                yield tokens[0], _At(state, at.words + 1, tokens[1:], word.closes)
