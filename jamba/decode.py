"""One token of each of several sequences: the model once more, as a chain of matrix products.

What a token costs is reading the weights; numba reads them faster than torch does, several
sequences share one reading, and one kernel does what many small tensor operations would. The
weights are the model's own, float32 or int8, not copies. B sequences, H hidden size, D Mamba
channels.
"""

from collections.abc import Sequence

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jamba.experts import MLP, MixtureOfExperts
from jamba.kernels import decode as kernels
from jamba.kernels.cpu import LOG2_E
from jamba.model import Attention, Jamba, Layer, Mamba
from jamba.quantise import Int8Embedding, Int8Linear
from jamba.state import AttentionState, MambaState, SequenceState

Array = NDArray[np.float32]
States = Sequence[MambaState | AttentionState]  # of one layer, one for each sequence
ONE_CORE_WEIGHTS = 2**24  # models below it are read by one core: waking others costs more


class Decoder:
    """Steps of one model. Kernels use one core where the model is small, else all of them."""

    def __init__(self, model: Jamba) -> None:
        self._embedding = _Matrix(model.model.embed_tokens)
        self._layers = [_LayerStep(layer) for layer in model.model.layers]
        self._norm = _Norm(model.model.final_layernorm)
        tied = model.config.tie_word_embeddings
        self._head = self._embedding if tied else _Matrix(model.lm_head)
        size = sum(tensor.numel() for tensor in model.state_dict().values())
        self._threads = 1 if size < ONE_CORE_WEIGHTS else numba.config.NUMBA_NUM_THREADS

    def step(self, tokens: Sequence[int], states: Sequence[SequenceState]) -> Array:
        """Logits (B, V) after one more token of each sequence; their states move on in place.

        Each state is of a batch of one. A row is the same to the bit in any company.
        """
        threads = numba.get_num_threads()
        numba.set_num_threads(min(threads, self._threads))
        try:
            x = self._embedding.rows(np.asarray(tokens))  # (B, H), the residual stream
            layers = zip(*(state.layers for state in states), strict=True)
            for layer, layer_states in zip(self._layers, layers, strict=True):
                layer.add(x, layer_states)
            for state in states:
                state.length += 1
            return self._head(self._norm(x))
        finally:
            numba.set_num_threads(threads)


class _Matrix:
    """The weights (R, K) of a module, with what it has of a bias and of scales (R,)."""

    def __init__(self, module: nn.Linear | nn.Embedding | Int8Linear | Int8Embedding) -> None:
        self.weight = _array(module.weight)
        self.scale = _array(getattr(module, "scale", None))
        self._bias = _array(getattr(module, "bias", None))

    def __call__(self, x: Array) -> Array:
        """x (B, K) times the transpose: (B, R)."""
        out = np.zeros((len(x), len(self.weight)), np.float32)
        self.add(x, out)
        return out

    def add(self, x: Array, out: Array) -> None:
        """Add the product of x (B, K) to out (B, R)."""
        kernels.add_product(self.weight, self.scale, x, out)
        if self._bias.size:
            out += self._bias

    def rows(self, places: NDArray[np.int64]) -> Array:
        """Rows of the matrix (B, K), a copy."""
        chosen: Array = self.weight[places]
        return chosen * self.scale[places, None] if self.scale.size else chosen


class _Norm:
    def __init__(self, norm: nn.RMSNorm) -> None:
        self._weight, self._eps = _array(norm.weight), np.float32(norm.eps)

    def __call__(self, x: Array) -> Array:
        out = np.empty_like(x)
        kernels.rms_norm(x, self._weight, self._eps, out)
        return out


class _LayerStep:
    def __init__(self, layer: Layer) -> None:
        self._mixer: _AttentionStep | _MambaStep = (
            _AttentionStep(layer.self_attn) if layer.is_attention else _MambaStep(layer.mamba)
        )
        experts = isinstance(layer.feed_forward, MixtureOfExperts)
        self._feed_forward: _ExpertsStep | _MLPStep = (
            _ExpertsStep(layer.feed_forward) if experts else _MLPStep(layer.feed_forward)
        )
        self._before_mixer = _Norm(layer.input_layernorm)
        self._before_feed_forward = _Norm(layer.pre_ff_layernorm)

    def add(self, x: Array, states: States) -> None:
        """Add the layer's two halves to the residual stream."""
        self._mixer.add(self._before_mixer(x), states, x)
        self._feed_forward.add(self._before_feed_forward(x), x)


class _MambaStep:
    def __init__(self, mamba: Mamba) -> None:
        self._in, self._out = _Matrix(mamba.in_proj), _Matrix(mamba.out_proj)
        self._x, self._dt = _array(mamba.x_proj.weight), _array(mamba.dt_proj.weight)
        self._dt_bias = _array(mamba.dt_proj.bias)
        self._conv, self._conv_bias = _array(mamba.conv1d.weight)[:, 0], _array(mamba.conv1d.bias)
        self._A2 = -np.exp(_array(mamba.A_log)) * LOG2_E
        self._D = _array(mamba.D)
        norms = (mamba.dt_layernorm, mamba.b_layernorm, mamba.c_layernorm)
        self._norms = np.concatenate([_array(norm.weight) for norm in norms])
        self._eps = np.float32(mamba.dt_layernorm.eps)
        rank, N, _ = mamba.sizes
        self._B, self._C = slice(rank, rank + N), slice(rank + N, rank + 2 * N)

    def add(self, x: Array, states: States, out: Array) -> None:
        both = self._in(x)
        inner, gate = both[:, : self._D.size], both[:, self._D.size :]  # (B, D) each
        mixed, y = np.empty((2, *inner.shape), np.float32)
        for b, state in enumerate(states):
            if not isinstance(state, MambaState):
                raise AssertionError("a Mamba layer with another layer's state")
            window = state.window[0].numpy()
            kernels.conv_step(inner[b], window, self._conv, self._conv_bias, mixed[b])
        parts = np.empty((len(x), self._norms.size), np.float32)  # dt, B and C
        dt = np.empty_like(mixed)
        kernels.scan_inputs(
            mixed, self._x, self._norms, self._eps, self._dt, self._dt_bias, parts, dt
        )
        for b, state in enumerate(states):
            ssm = state.ssm[0].numpy()  # type: ignore[union-attr]  # checked above
            B, C = parts[b, self._B], parts[b, self._C]
            kernels.scan_step(mixed[b], gate[b], dt[b], self._A2, B, C, self._D, ssm, y[b])
        self._out.add(y, out)


class _AttentionStep:
    def __init__(self, attention: Attention) -> None:
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._projections = [_Matrix(projection) for projection in projections]
        self._out = _Matrix(attention.o_proj)
        self._size = attention.head_size

    def add(self, x: Array, states: States, out: Array) -> None:
        q, k, v = (w(x).reshape(len(x), -1, self._size) for w in self._projections)
        mixed = np.empty_like(q)  # (B, heads, head size)
        for b, state in enumerate(states):
            if not isinstance(state, AttentionState):
                raise AssertionError("an attention layer with another layer's state")
            state.append(_one_token(k[b]), _one_token(v[b]))
            keys, values = state.keys[0].numpy(), state.values[0].numpy()
            kernels.attend(q[b], keys, values, state.length, mixed[b])
        self._out.add(mixed.reshape(len(x), -1), out)


class _MLPStep:
    def __init__(self, mlp: MLP) -> None:
        matrices = [_Matrix(each) for each in (mlp.gate_proj, mlp.up_proj, mlp.down_proj)]
        self._matrices = [array for each in matrices for array in (each.weight, each.scale)]

    def add(self, x: Array, out: Array) -> None:
        kernels.mlp(*self._matrices, x, out)


class _ExpertsStep:
    def __init__(self, block: MixtureOfExperts) -> None:
        self._top_k = block.top_k
        self._router = _array(block.router.weight)
        self._experts = [_MLPStep(expert) for expert in block.experts]

    def add(self, x: Array, out: Array) -> None:
        weights = np.empty((len(x), self._top_k), np.float32)
        chosen = np.empty((len(x), self._top_k), np.int64)
        kernels.route(self._router, x, weights, chosen)
        for index in sorted(set(chosen.flat)):  # each expert is read once, for all who chose it
            rows, rank = np.nonzero(chosen == index)
            made = np.zeros((len(rows), x.shape[1]), np.float32)
            self._experts[index].add(x[rows], made)
            out[rows] += weights[rows, rank, None] * made


_NONE = np.empty(0, np.float32)  # an absent bias or scale


def _array(parameter: Tensor | None) -> Array:
    """The parameter's own memory; length 0 for an absent one."""
    if parameter is None:
        return _NONE
    array: Array = parameter.detach().contiguous().numpy()
    return array


def _one_token(heads: Array) -> Tensor:
    return torch.from_numpy(heads)[None, :, None]  # (1, KV heads, 1, head size)
