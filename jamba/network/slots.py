"""Where the states of a batch lie: a table that the kernels of a decoding step read.

A step is prepared once for a model; what differs from step to step, whose states move on and how
many tokens they have seen, stands in this table.
"""

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from jamba.state import AttentionState, SequenceState

Table = NDArray[np.int64]
# The last rows of a table; before them come two addresses for each layer.
CAPACITY, SEEN, TOKEN = -3, -2, -1


class Slots:
    """The table of the last step's batch, kept while the batch stays the same."""

    def __init__(self) -> None:
        self._states: list[SequenceState] = []
        self._columns: Table = np.empty((3, 0), np.int64)

    def columns(self, tokens: Sequence[int], states: Sequence[SequenceState]) -> Table:
        """The table (2 layers + 3, B) for one more token of each state; room is made for it.

        Addresses are looked up only where anything but the last step has happened to the states:
        a step moves them in place, while reading a prompt on, or growing, puts others there.
        """
        has_grown = [_make_room(state) for state in states]
        lengths = [state.length for state in states]
        if any(has_grown) or not self._goes_on(states, lengths):
            self._states, self._columns = list(states), addresses(states)
        self._columns[SEEN] = lengths
        self._columns[TOKEN] = tokens
        return self._columns

    def _goes_on(self, states: Sequence[SequenceState], lengths: Sequence[int]) -> bool:
        """Whether these states are as the last step left them."""
        is_same = len(states) == len(self._states) and all(map(operator.is_, states, self._states))
        return is_same and bool((self._columns[SEEN] + 1 == lengths).all())


def addresses(states: Sequence[SequenceState]) -> Table:
    """A table (2 layers + 3, B): where each layer's two tensors lie, and the room for keys."""
    columns = []
    for state in states:
        column, room = [], 0
        for layer in state.layers:
            if isinstance(layer, AttentionState):
                pair = layer.keys, layer.values
                room = layer.keys.shape[2]  # the same in all layers of a sequence
            else:
                pair = layer.window, layer.ssm
            if not all(tensor.is_contiguous() for tensor in pair):
                raise AssertionError("kernels find states by address; these are not contiguous")
            column += [tensor.data_ptr() for tensor in pair]
        columns.append([*column, room, state.length, 0])
    return np.array(columns, np.int64).reshape(len(columns), -1).T.copy()


def advance(state: SequenceState) -> None:
    """Count the token that a step has added to a state."""
    state.length += 1
    for layer in state.layers:
        if isinstance(layer, AttentionState):
            layer.length += 1


def _make_room(state: SequenceState) -> bool:
    """Make room for one more token; whether any layer had to grow."""
    grown = False
    for layer in state.layers:
        if isinstance(layer, AttentionState) and layer.length == layer.keys.shape[2]:
            layer.reserve(layer.length + 1)
            grown = True
    return grown
