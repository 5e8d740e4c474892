"""Token documents -> packed rows: every row is full, every document starts from a fresh state."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np
from numpy.typing import NDArray

from jamba.config import JambaError

Ids = NDArray[np.int64]
Weights = NDArray[np.float32]
AHEAD = 16  # documents looked at for the place that is left in a row


@dataclass(frozen=True, slots=True)
class TokenDocument:
    """Tokens (T,) that belong together, and how much the prediction of each counts in the loss."""

    ids: Ids
    weights: Weights

    def cut(self, length: int) -> "TokenDocument":
        """Its first `length` tokens."""
        return TokenDocument(self.ids[:length], self.weights[:length])


@dataclass(frozen=True, slots=True)
class Rows:
    """Packed rows, all (R, T): token ids, document starts, and the weight of predicting each token.

    A document's first token has weight 0: nothing before it may be used to predict it.
    """

    ids: Ids
    reset: NDArray[np.bool_]
    weights: Weights

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: slice | Ids) -> "Rows":
        """Some of the rows, in the order asked for."""
        return Rows(self.ids[rows], self.reset[rows], self.weights[rows])


def document(pieces: Iterable[tuple[Sequence[int], float]]) -> TokenDocument:
    """One document of pieces of tokens, each with the weight of its tokens."""
    pieces = list(pieces)
    ids = [token for tokens, _ in pieces for token in tokens]
    weights = [weight for tokens, weight in pieces for _ in tokens]
    return TokenDocument(np.array(ids, np.int64), np.array(weights, np.float32))


class Filler:
    """Plain text, an endless supply cut to any length; what was cut off comes next."""

    def __init__(self, sections: Sequence[Sequence[int]], bos: int) -> None:
        if not any(len(section) for section in sections):
            raise JambaError("there is no plain text to fill rows with; name at least one text")
        self._sections = [section for section in sections if len(section)]
        self._bos = bos
        self._section = self._offset = 0

    def take(self, length: int) -> list[TokenDocument]:
        """Documents of `length` tokens in all, each led by the start token."""
        taken = []
        while length > 0:
            section = self._sections[self._section]
            tokens = section[self._offset : self._offset + length - 1]
            taken.append(document([([self._bos, *tokens], 1.0)]))
            self._offset += len(tokens)
            length -= 1 + len(tokens)
            if self._offset >= len(section):
                self._section = (self._section + 1) % len(self._sections)
                self._offset = 0
        return taken


def pack(documents: Iterable[TokenDocument], filler: Filler, length: int) -> Rows:
    """Rows of exactly `length` tokens; text fills what no document fits into.

    A row takes the longest that fits of the next AHEAD documents; one longer than a row loses its
    end.
    """
    waiting = [item.cut(length) for item in documents]
    rows = []
    while waiting:
        row: list[TokenDocument] = []
        room = length
        while fitting := [item for item in waiting[:AHEAD] if len(item.ids) <= room]:
            longest = max(fitting, key=lambda item: len(item.ids))
            waiting = [item for item in waiting if item is not longest]
            row.append(longest)
            room -= len(longest.ids)
        rows.append([*row, *filler.take(room)])
    return _join(rows)


def text_rows(filler: Filler, count: int, length: int) -> Rows:
    """`count` rows of plain text alone."""
    return _join([filler.take(length) for _ in range(count)])


def concatenate(parts: Sequence[Rows]) -> Rows:
    """The rows of all parts, one part after another."""
    return Rows(
        np.concatenate([part.ids for part in parts]),
        np.concatenate([part.reset for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


def _join(rows: Sequence[Sequence[TokenDocument]]) -> Rows:
    rows = [row for row in rows if row]
    lengths = [[len(item.ids) for item in row] for row in rows]
    ids = np.stack([np.concatenate([item.ids for item in row]) for row in rows])
    weights = np.stack([np.concatenate([item.weights for item in row]) for row in rows])
    reset = np.zeros(ids.shape, np.bool_)
    for row, sizes in enumerate(lengths):
        reset[row, np.cumsum([0, *sizes[:-1]])] = True
    return Rows(ids, reset, np.where(reset, np.float32(0.0), weights))


@dataclass(frozen=True, slots=True)
class Corpus:
    """What to train on: documents that are never cut, and sections of plain text that may be."""

    documents: tuple[TokenDocument, ...]
    sections: tuple[Sequence[int], ...]
    bos: int
    row_tokens: int
    text_share: float  # of the rows; besides the text that fills up the other rows
    examples: tuple[TokenDocument, ...] = ()  # what rows of text are made of instead; never cut

    def epoch(self, seed: int, number: int) -> Rows:
        """All documents once, in an order of their own for each epoch, among rows of plain text."""
        order = np.random.default_rng((seed, number))
        filler = Filler([self.sections[i] for i in order.permutation(len(self.sections))], self.bos)
        shuffled = [self.documents[i] for i in order.permutation(len(self.documents))]
        packed = pack(shuffled, filler, self.row_tokens)
        count = round(len(packed) * self.text_share / (1 - self.text_share))
        if count:
            packed = concatenate([packed, self._text(count, filler, order)])
        return packed.take(order.permutation(len(packed)))

    def _text(self, count: int, filler: Filler, order: np.random.Generator) -> Rows:
        """`count` rows of plain text, or of the examples in turn where there are any."""
        if not self.examples:
            return text_rows(filler, count, self.row_tokens)
        shuffled = [self.examples[i] for i in order.permutation(len(self.examples))]
        supply = cycle(shuffled)
        rows = pack(islice(supply, count), filler, self.row_tokens)
        while len(rows) < count:  # two short ones shared a row
            more = pack(islice(supply, count - len(rows)), filler, self.row_tokens)
            rows = concatenate([rows, more])
        return rows

    def batches(self, rows: int, seed: int) -> Iterator[Rows]:
        """Batches without end, always the same ones: the n-th is known by its number alone."""
        number = 0
        while True:
            epoch = self.epoch(seed, number)
            if len(epoch) < rows:
                raise JambaError(
                    f"the data fill {len(epoch)} rows of {self.row_tokens} tokens, and one step "
                    f"takes {rows}; add text or make rows shorter"
                )
            for first in range(0, len(epoch) - rows + 1, rows):
                yield epoch.take(slice(first, first + rows))
            number += 1
