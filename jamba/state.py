"""What a sequence remembers: windows and matrices of Mamba layers, keys and values of attention."""

from dataclasses import dataclass

import torch
from torch import Tensor

from jamba.config import JambaConfig

FIRST_CAPACITY = 256  # tokens of room for keys and values in a fresh state


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
        if end > self.keys.shape[2]:
            self._grow(end)
        self.keys[:, :, self.length : end] = keys
        self.values[:, :, self.length : end] = values
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def _grow(self, needed: int) -> None:
        capacity = max(needed, 2 * self.keys.shape[2])
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
        cls, config: JambaConfig, batch: int = 1, capacity: int = FIRST_CAPACITY
    ) -> "SequenceState":
        """The state before the first token: all zero, with room for `capacity` tokens."""
        layers = range(config.num_hidden_layers)
        return cls([_fresh_layer(config, i, batch, capacity) for i in layers])


def _fresh_layer(
    config: JambaConfig, layer: int, batch: int, capacity: int
) -> MambaState | AttentionState:
    if config.is_attention(layer):
        shape = (batch, config.num_key_value_heads, capacity, config.head_size)
        return AttentionState(torch.zeros(shape), torch.zeros(shape))
    return MambaState(
        window=torch.zeros(batch, config.mamba_d_conv - 1, config.inner_size),
        ssm=torch.zeros(batch, config.inner_size, config.mamba_d_state),
    )
