"""One token of each of several sequences on a GPU, as recorded graphs of kernels.

A step is hundreds of short kernels, and launching them one by one would take longer than they do.
So the whole step is recorded once for each size of batch and then replayed. What differs from step
to step, tokens and where states lie, stands in a table that the kernels read.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from jamba.kernels import triton_decode
from jamba.network.model import Attention, Jamba, Mamba
from jamba.network.slots import CAPACITY, SEEN, TOKEN, Slots, Table, addresses, advance
from jamba.state import SequenceState

Array = NDArray[np.float32]
WARM_UP = 2  # steps before a recording, which compile kernels and let libraries set themselves up


class GraphDecoder:
    """Steps of one model on a GPU; the counterpart of `jamba.network.decode.Decoder`."""

    def __init__(self, model: Jamba) -> None:
        self._model = model
        self._nobody = SequenceState.fresh(model.config, where=model.place)  # fills up a batch
        self._recorded: dict[int, _Recorded] = {}
        self._slots = Slots()

    def step(self, tokens: Sequence[int], states: Sequence[SequenceState]) -> Array:
        """Logits (B, V) after one more token of each sequence; their states move on in place."""
        size = 1 << (len(states) - 1).bit_length()
        if size not in self._recorded:
            self._recorded[size] = _Recorded(self._model, size, self._nobody)
        logits = self._recorded[size].replay(self._slots.columns(tokens, states))
        for state in states:
            advance(state)
        return logits


class _Recorded:
    """A step of a batch of one size; rows that are not needed work on a state of nobody."""

    def __init__(self, model: Jamba, size: int, nobody: SequenceState) -> None:
        self._filling = addresses([nobody] * size)
        self._staged = torch.from_numpy(self._filling.copy()).pin_memory()
        self._table = self._staged.to(model.place.device)
        beside = torch.cuda.Stream()
        beside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(beside):
            for _ in range(WARM_UP):
                step_logits(model, self._table)
        torch.cuda.current_stream().wait_stream(beside)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = step_logits(model, self._table)

    def replay(self, columns: Table) -> Array:
        staged, used = self._staged.numpy(), columns.shape[1]
        staged[:, :used], staged[:, used:] = columns, self._filling[:, used:]
        self._table.copy_(self._staged, non_blocking=True)
        self._graph.replay()
        logits: Array = self._logits[:used].cpu().numpy()  # waits, so `_staged` is free again
        return logits


def step_logits(model: Jamba, table: Tensor) -> Tensor:
    """Logits (B, V) in float32 after one more token of each sequence of a table on the GPU."""
    x = model.model.embed_tokens(table[TOKEN])  # (B, H), the residual stream
    for index, layer in enumerate(model.model.layers):
        places = table[2 * index], table[2 * index + 1]
        normed = layer.input_layernorm(x)
        if layer.is_attention:
            mixed = _attend(layer.self_attn, normed, *places, table[CAPACITY], table[SEEN])
        else:
            mixed = _scan(layer.mamba, normed, *places)
        x = x + mixed
        x = x + layer.feed_forward(layer.pre_ff_layernorm(x))
    return model.head(model.model.final_layernorm(x)).float()


def _scan(mamba: Mamba, x: Tensor, windows: Tensor, states: Tensor) -> Tensor:
    inputs, gate = mamba.in_proj(x).chunk(2, dim=-1)  # (B, D) each
    conv = mamba.conv1d
    mixed = triton_decode.conv_step(inputs, windows, conv.weight[:, 0], conv.bias)
    dt, B, C = mamba.x_proj(mixed).split(mamba.sizes, dim=-1)
    dt = F.linear(mamba.dt_layernorm(dt), mamba.dt_proj.weight, mamba.dt_proj.bias)
    B, C = mamba.b_layernorm(B), mamba.c_layernorm(C)
    y = triton_decode.scan_step(mixed, gate, dt, mamba.A_log, B, C, mamba.D, states)
    return mamba.out_proj(y)


def _attend(
    attention: Attention, x: Tensor, keys: Tensor, values: Tensor, capacity: Tensor, seen: Tensor
) -> Tensor:
    size = attention.head_size
    q, k, v = (
        projection(x).unflatten(-1, (-1, size))  # (B, heads, size)
        for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    mixed = triton_decode.attend(q, k, v, keys, values, capacity, seen)
    return attention.o_proj(mixed.flatten(1))
