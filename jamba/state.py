"""What a sequence remembers: windows and matrices of Mamba layers, keys and values of attention."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jamba.config import JambaConfig

Tensors = tuple[Tensor, ...]
FIRST_CAPACITY = 256  # tokens of room for keys and values in a fresh state


def room_for(tokens: int) -> int:
    """The capacity that buffers of keys and values have for so many tokens: it doubles."""
    return FIRST_CAPACITY << max(0, math.ceil(math.log2(tokens / FIRST_CAPACITY)))


def state_bytes(config: JambaConfig, tokens: int, dtype: torch.dtype = torch.float32) -> int:
    """Memory of a state after so many tokens, at least one, of a model in `dtype`."""
    layers = range(config.num_hidden_layers)
    attention = sum(config.is_attention(layer) for layer in layers)
    token = 2 * config.num_key_value_heads * config.head_size
    mamba = len(layers) - attention
    inputs = mamba * config.inner_size * (config.mamba_d_conv - 1)
    scans = mamba * config.inner_size * config.mamba_d_state
    values = attention * token * room_for(tokens) + inputs
    return int(dtype.itemsize * values + torch.float32.itemsize * scans)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model and its states lie, and the type of all but the states of scans."""

    device: torch.device
    dtype: torch.dtype


CPU = Place(torch.device("cpu"), torch.float32)


@dataclass(slots=True)
class MambaState:
    """The last inputs of the convolution and the state of the scan; both change in place."""

    window: Tensor  # (B, d_conv - 1, D)
    ssm: Tensor  # (B, D, N) float32


@dataclass(slots=True)
class AttentionState:
    """Keys and values of all tokens so far, in buffers that double when they are full."""

    keys: Tensor  # (B, KV heads, capacity, head size); the first `length` positions are filled
    values: Tensor
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add those of new tokens (B, KV, T, head size); returns those of all tokens."""
        end = self.length + keys.shape[2]
        self.reserve(end)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def reserve(self, needed: int) -> None:
        """Make room for so many tokens in all."""
        if needed <= self.keys.shape[2]:
            return
        capacity = room_for(needed)
        for name in ("keys", "values"):
            old = getattr(self, name)
            new = old.new_zeros((*old.shape[:2], capacity, old.shape[3]))
            new[:, :, : self.length] = old[:, :, : self.length]
            setattr(self, name, new)


@dataclass(slots=True)
class SequenceState:
    """The state after exactly `length` tokens; private to one sequence or batch."""

    layers: list[MambaState | AttentionState]
    length: int = 0

    @classmethod
    def fresh(
        cls,
        config: JambaConfig,
        batch: int = 1,
        capacity: int = FIRST_CAPACITY,
        where: Place = CPU,
    ) -> "SequenceState":
        """The state before the first token: all zero, with room for `capacity` tokens."""
        layers = range(config.num_hidden_layers)
        return cls([_fresh_layer(config, i, batch, capacity, where) for i in layers])

    def kv(self, since: int) -> Tensors:
        """A copy in main memory of each attention layer's keys, values from token `since` on."""
        attention = [layer for layer in self.layers if isinstance(layer, AttentionState)]
        if any(layer.length != self.length for layer in attention):
            raise AssertionError("an attention layer has seen another number of tokens")
        span = slice(since, self.length)
        return tuple(_copy(t[:, :, span]) for a in attention for t in (a.keys, a.values))

    def recurrent(self) -> Tensors:
        """A copy in main memory of window, ssm of each Mamba layer."""
        mamba = [layer for layer in self.layers if isinstance(layer, MambaState)]
        return tuple(_copy(tensor) for m in mamba for tensor in (m.window, m.ssm))

    @classmethod
    def restored(
        cls,
        config: JambaConfig,
        edges: Sequence[Tensors],
        recurrent: Tensors,
        length: int,
        where: Place = CPU,
    ) -> "SequenceState":
        """A private state after `length` tokens, from `kv` of all its edges and `recurrent`."""
        state = cls.fresh(config, capacity=room_for(length + 1), where=where)
        kv = 0
        mamba = iter(recurrent)
        for layer in state.layers:
            if isinstance(layer, MambaState):
                layer.window.copy_(next(mamba))
                layer.ssm.copy_(next(mamba))
                continue
            for edge in edges:
                layer.append(edge[kv], edge[kv + 1])
            kv += 2
            if layer.length != length:
                raise AssertionError(f"keys of {layer.length} tokens for a state after {length}")
        state.length = length
        return state


def _fresh_layer(
    config: JambaConfig, layer: int, batch: int, capacity: int, where: Place
) -> MambaState | AttentionState:
    def zeros(*shape: int, dtype: torch.dtype = where.dtype) -> Tensor:
        return torch.zeros(batch, *shape, dtype=dtype, device=where.device)

    if config.is_attention(layer):
        shape = (config.num_key_value_heads, capacity, config.head_size)
        return AttentionState(zeros(*shape), zeros(*shape))
    return MambaState(
        window=zeros(config.mamba_d_conv - 1, config.inner_size),
        ssm=zeros(config.inner_size, config.mamba_d_state, dtype=torch.float32),
    )


def _copy(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", copy=True, memory_format=torch.contiguous_format)
