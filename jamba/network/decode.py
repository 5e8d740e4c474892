"""One token of each of several sequences on a CPU: the model once more, as one compiled program.

What a token costs is reading the weights, so several sequences share one reading, and the whole
step is one launch of the kernel in jamba/kernels/decode.py. The weights are the model's own,
float32 or int8, not copies. B sequences, H hidden size, D Mamba channels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jamba.config import JambaConfig
from jamba.kernels import decode as kernels
from jamba.kernels.cpu import LOG2_E
from jamba.kernels.decode import EACH_BLOCK, MOST_ROWS, WIDTH, Op
from jamba.kernels.tiles import ROWS
from jamba.network.experts import MLP, MixtureOfExperts
from jamba.network.model import Attention, Jamba, Mamba
from jamba.network.quantise import Int8Embedding, Int8Linear
from jamba.network.slots import Slots, advance
from jamba.state import SequenceState

Array = NDArray[np.float32]
Phases = NDArray[np.int64]
Matrix: TypeAlias = nn.Linear | nn.Embedding | Int8Linear | Int8Embedding
ONE_CORE_WEIGHTS = 2**22  # models below it are read by one core: waking others costs more
# Bytes of weights that a core takes at a time. Of large blocks less is fetched ahead in vain, of
# small ones the last core waits less for the other: PARTS blocks where that lies between.
SMALLEST_BLOCK, LARGEST_BLOCK, PARTS = 2**16, 2**19, 8
CHANNELS = 256  # of a Mamba layer that a core takes at a time


class Decoder:
    """Steps of one model. One core runs them where the model is small, else all of them."""

    def __init__(self, model: Jamba) -> None:
        self._model = model
        self._slots = Slots()
        self._program = _Program(model, batch=1)
        size = sum(tensor.numel() for tensor in model.state_dict().values())
        self._cores = 1 if size < ONE_CORE_WEIGHTS else numba.config.NUMBA_NUM_THREADS

    def step(self, tokens: Sequence[int], states: Sequence[SequenceState]) -> Array:
        """Logits (B, V) after one more token of each sequence; their states move on in place.

        Each state is of a batch of one. A row is the same to the bit in any company.
        """
        if len(states) > self._program.batch:
            self._program = _Program(self._model, batch=2 * len(states))
        slots = self._slots.columns(tokens, states)
        logits = self._program.run(slots, min(self._cores, numba.get_num_threads()))
        for state in states:
            advance(state)
        return logits


@dataclass(frozen=True, slots=True)
class _Buffers:
    """What is passed from phase to phase, with room for a batch."""

    x: Array  # (B, H), the residual stream
    normed: Array  # (B, H)
    both: Array  # (B, 2 D), the inputs and the gate of a Mamba layer
    mixed: Array  # (B, D)
    parts: Array  # (B, R + 2 N): dt, B and C before their norms
    y: Array  # (B, D)
    q: Array  # (B, heads * size)
    k: Array  # (B, KV heads * size)
    v: Array
    attended: Array  # as q
    inner: Array  # (B * top k, I)
    chosen: NDArray[np.int64]  # (B, top k) experts
    shares: Array  # (B, top k), their weights
    logits: Array  # (B, V)

    @classmethod
    def of(cls, config: JambaConfig, batch: int) -> "_Buffers":
        def room(width: int) -> Array:
            return np.empty((batch, width), np.float32)

        H, D, top = config.hidden_size, config.inner_size, config.num_experts_per_tok
        queries = config.num_attention_heads * config.head_size
        keys = config.num_key_value_heads * config.head_size
        return cls(
            x=room(H), normed=room(H), both=room(2 * D), mixed=room(D),
            parts=room(config.dt_rank + 2 * config.mamba_d_state), y=room(D),
            q=room(queries), k=room(keys), v=room(keys), attended=room(queries),
            inner=room(top * config.intermediate_size),
            chosen=np.empty((batch, top), np.int64), shares=room(top),
            logits=room(config.vocab_size),
        )  # fmt: skip


class _Program:
    """The phases of a step for up to `batch` sequences; see jamba/kernels/decode.py."""

    def __init__(self, model: Jamba, batch: int) -> None:
        self.batch = batch
        self._kept: list[object] = []  # what phases name by address lives as long as they do
        self._phases: list[list[int]] = []
        self._config = model.config
        self._buffers = _Buffers.of(model.config, batch)
        self._embedding = model.model.embed_tokens
        for index, layer in enumerate(model.model.layers):
            self._norm(layer.input_layernorm)
            if layer.is_attention:
                self._attention(layer.self_attn, index)
            else:
                self._mamba(layer.mamba, index)
            self._norm(layer.pre_ff_layernorm)
            if isinstance(layer.feed_forward, MixtureOfExperts):
                self._experts(layer.feed_forward)
            else:
                self._mlp(layer.feed_forward)
        self._norm(model.model.final_layernorm)
        tied = model.config.tie_word_embeddings
        head = self._embedding if tied else model.lm_head
        self._product(head, self._buffers.normed, self._buffers.logits)
        self._table: Phases = np.zeros((len(self._phases), WIDTH), np.int64)
        for row, phase in zip(self._table, self._phases, strict=True):
            row[: len(phase)] = phase

    def run(self, slots: Phases, cores: int) -> Array:
        """Logits (B, V) of the tokens in the table of slots; the states in it move on."""
        count = slots.shape[1]
        self._buffers.x[:count] = _rows(self._embedding, slots[-1])
        counters = np.zeros((cores + 1, len(self._phases)), np.int64)
        kernels.run(self._table, slots, counters, cores)
        return self._buffers.logits[:count].copy()

    def _mamba(self, mamba: Mamba, layer: int) -> None:
        at, D, N = self._buffers, self._config.inner_size, self._config.mamba_d_state
        self._product(mamba.in_proj, at.normed, at.both)
        taps = mamba.conv1d.weight[:, 0].T  # (W, D)
        convolution = self._keep(taps), self._keep(mamba.conv1d.bias), D, len(taps), CHANNELS
        parts = -(-D // CHANNELS)
        source, target = self._keep(at.both), self._keep(at.mixed)
        self._add(Op.CONVOLVE, parts, EACH_BLOCK, layer, source, target, *convolution)
        self._product(mamba.x_proj, at.mixed, at.parts)
        norms = (mamba.dt_layernorm, mamba.b_layernorm, mamba.c_layernorm)
        weights = torch.cat([norm.weight for norm in norms])
        arrays = (
            _with(weights, mamba.dt_layernorm.eps), mamba.dt_proj.weight, mamba.dt_proj.bias,
            -torch.exp(mamba.A_log) * float(LOG2_E), mamba.D,
        )  # fmt: skip
        gate = self._keep(at.both) + 4 * D
        buffers = self._keep(at.mixed), gate, self._keep(at.parts), self._keep(at.y)
        sizes = D, self._config.dt_rank, N, CHANNELS
        self._add(Op.SCAN, parts, EACH_BLOCK, layer, *buffers, *map(self._keep, arrays), *sizes)
        self._product(mamba.out_proj, at.y, at.x, adds=True)

    def _attention(self, attention: Attention, layer: int) -> None:
        at, config = self._buffers, self._config
        self._product(attention.q_proj, at.normed, at.q)
        self._product(attention.k_proj, at.normed, at.k)
        self._product(attention.v_proj, at.normed, at.v)
        buffers = map(self._keep, (at.q, at.k, at.v, at.attended))
        sizes = config.num_attention_heads, config.head_size
        self._add(Op.ATTEND, config.num_key_value_heads, EACH_BLOCK, layer, *buffers, *sizes)
        self._product(attention.o_proj, at.attended, at.x, adds=True)

    def _mlp(self, mlp: MLP) -> None:
        at = self._buffers
        R, K = mlp.gate_proj.weight.shape
        rows, blocks = _cut(R, 2 * K * mlp.gate_proj.weight.itemsize)
        pair = *self._matrix(mlp.gate_proj), *self._matrix(mlp.up_proj)
        places = self._keep(at.normed), self._keep(at.inner)
        self._add(Op.GATED, blocks, 0, *pair, R, K, *places, rows)
        self._product(mlp.down_proj, at.inner, at.x, adds=True)

    def _experts(self, block: MixtureOfExperts) -> None:
        at, count, top = self._buffers, len(block.experts), block.top_k
        chosen, shares = self._keep(at.chosen), self._keep(at.shares)
        source = self._keep(at.normed)
        router = *self._matrix(block.router), count, self._config.hidden_size
        self._add(Op.ROUTE, 1, EACH_BLOCK, *router, source, chosen, shares, top)
        matrices = [
            [*self._matrix(e.gate_proj), *self._matrix(e.up_proj), *self._matrix(e.down_proj)]
            for e in block.experts
        ]
        table = self._keep(np.array(matrices, np.int64))
        inner, size = self._keep(at.inner), block.experts[0].gate_proj.weight.itemsize
        R, K = self._config.intermediate_size, self._config.hidden_size
        rows, blocks = _cut(R, 2 * top * K * size)
        opens = R, K, source, chosen, top, inner, rows
        self._add(Op.EXPERTS_OPEN, blocks, 0, table, count, *opens)
        rows, blocks = _cut(K, top * R * size)
        closes = K, R, inner, chosen, top, shares, self._keep(at.x), rows
        self._add(Op.EXPERTS_CLOSE, blocks, 0, table, count, *closes)

    def _norm(self, norm: nn.RMSNorm) -> None:
        buffers = self._keep(self._buffers.x), self._keep(self._buffers.normed)
        weights = self._keep(_with(norm.weight, norm.eps))
        self._add(Op.NORM, 1, EACH_BLOCK, *buffers, weights, norm.weight.numel())

    def _product(self, module: Matrix, source: Array, target: Array, adds: bool = False) -> None:
        R, K = module.weight.shape
        rows, blocks = _cut(R, K * module.weight.itemsize)
        places = self._keep(source), self._keep(target)
        self._add(Op.PRODUCT, blocks, 0, *self._matrix(module), R, K, *places, rows, int(adds))

    def _matrix(self, module: Matrix) -> tuple[int, ...]:
        """The operands of a matrix: where weights, scales and bias lie, and whether it is int8."""
        scale, bias = getattr(module, "scale", None), getattr(module, "bias", None)
        arrays = map(self._keep, (module.weight, scale, bias))
        return (*arrays, int(module.weight.dtype == torch.int8))

    def _keep(self, values: Tensor | NDArray[np.generic] | None) -> int:
        """The address of an array's own memory, which is kept alive; 0 for an absent one."""
        if values is None:
            return 0
        if isinstance(values, Tensor):
            values = values.detach().contiguous().numpy()
        self._kept.append(values)
        return int(values.ctypes.data)

    def _add(self, op: Op, blocks: int, each: int, *operands: int) -> None:
        self._phases.append([op, blocks, each, *operands])


def _cut(rows: int, row_bytes: int) -> tuple[int, int]:
    """How many rows a block has, and how many blocks that makes."""
    most_bytes = max(SMALLEST_BLOCK, min(LARGEST_BLOCK, rows * row_bytes // PARTS))
    size = min(max(ROWS, most_bytes // row_bytes // ROWS * ROWS), MOST_ROWS)
    return size, -(-rows // size)


def _with(weights: Tensor, last: float) -> Tensor:
    return torch.cat([weights.detach().flatten(), torch.tensor([last])])


def _rows(module: Matrix, places: NDArray[np.int64]) -> Array:
    """Rows (B, K) of an embedding as float32."""
    chosen: Array = module.weight.detach().numpy()[places]
    scale = getattr(module, "scale", None)
    return chosen if scale is None else chosen * scale.numpy()[places, None]
