"""One token of one sequence: the model once more, as a chain of matrix-vector products.

What a token costs is reading the weights; numba reads them faster than torch does, and one kernel
does what many small tensor operations would. The weights are the model's own, not copies.
"""

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jamba.experts import MLP, MixtureOfExperts
from jamba.kernels import decode as kernels
from jamba.kernels.cpu import LOG2_E
from jamba.model import Attention, Jamba, Layer, Mamba
from jamba.state import AttentionState, MambaState, SequenceState

Array = NDArray[np.float32]
ONE = np.float32(1.0)
ONE_CORE_BYTES = 64 * 2**20  # models below it are read by one core: waking others costs more


class Decoder:
    """Steps of one model. Kernels use one core where the model is small, else all of them."""

    def __init__(self, model: Jamba) -> None:
        self._embedding = _array(model.model.embed_tokens.weight)
        self._layers = [_LayerStep(layer) for layer in model.model.layers]
        self._norm = _Norm(model.model.final_layernorm)
        tied = model.config.tie_word_embeddings
        self._head = self._embedding if tied else _array(model.lm_head.weight)
        size = sum(parameter.nbytes for parameter in model.parameters())
        self._threads = 1 if size < ONE_CORE_BYTES else numba.config.NUMBA_NUM_THREADS

    def step(self, token: int, state: SequenceState) -> Array:
        """Logits (V,) after one more token; `state`, of a batch of one, moves on in place."""
        threads = numba.get_num_threads()
        numba.set_num_threads(min(threads, self._threads))
        try:
            x = self._embedding[token].copy()  # (H,), the residual stream
            for layer, layer_state in zip(self._layers, state.layers, strict=True):
                layer.add(x, layer_state)
            state.length += 1
            return _product(self._head, _NONE, self._norm(x))
        finally:
            numba.set_num_threads(threads)


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

    def add(self, x: Array, state: MambaState | AttentionState) -> None:
        """Add the layer's two halves to the residual stream."""
        self._mixer.add(self._before_mixer(x), state, x)
        self._feed_forward.add(self._before_feed_forward(x), ONE, x)


class _MambaStep:
    def __init__(self, mamba: Mamba) -> None:
        self._in, self._in_bias = _array(mamba.in_proj.weight), _array(mamba.in_proj.bias)
        self._conv, self._conv_bias = _array(mamba.conv1d.weight)[:, 0], _array(mamba.conv1d.bias)
        self._x = _array(mamba.x_proj.weight)
        self._dt, self._dt_bias = _array(mamba.dt_proj.weight), _array(mamba.dt_proj.bias)
        self._A2 = -np.exp(_array(mamba.A_log)) * LOG2_E
        self._D = _array(mamba.D)
        self._out, self._out_bias = _array(mamba.out_proj.weight), _array(mamba.out_proj.bias)
        self._norms = [_Norm(n) for n in (mamba.dt_layernorm, mamba.b_layernorm, mamba.c_layernorm)]
        ends = np.cumsum(mamba.sizes).tolist()
        self._spans = [slice(end - size, end) for size, end in zip(mamba.sizes, ends, strict=True)]

    def add(self, x: Array, state: MambaState | AttentionState, out: Array) -> None:
        if not isinstance(state, MambaState):
            raise AssertionError("a Mamba layer with another layer's state")
        both = _product(self._in, self._in_bias, x)
        inner, gate = both[: self._D.size], both[self._D.size :]  # (D,) each
        mixed = np.empty_like(inner)
        kernels.conv_step(inner, state.window[0].numpy(), self._conv, self._conv_bias, mixed)
        parts = _product(self._x, _NONE, mixed)
        dt, B, C = (norm(parts[span]) for norm, span in zip(self._norms, self._spans, strict=True))
        y = np.empty_like(inner)
        kernels.scan_step(
            mixed, gate, dt, self._dt, self._dt_bias, self._A2, B, C, self._D,
            state.ssm[0].numpy(), y,
        )  # fmt: skip
        kernels.add_matvec(self._out, self._out_bias, y, ONE, out)


class _AttentionStep:
    def __init__(self, attention: Attention) -> None:
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self._projections = [_array(projection.weight) for projection in projections]
        self._out = _array(attention.o_proj.weight)
        self._size = attention.head_size

    def add(self, x: Array, state: MambaState | AttentionState, out: Array) -> None:
        if not isinstance(state, AttentionState):
            raise AssertionError("an attention layer with another layer's state")
        q, k, v = (_product(w, _NONE, x).reshape(-1, self._size) for w in self._projections)
        state.append(_one_token(k), _one_token(v))
        mixed = np.empty_like(q)  # (heads, head size)
        kernels.attend(q, state.keys[0].numpy(), state.values[0].numpy(), state.length, mixed)
        kernels.add_matvec(self._out, _NONE, mixed.reshape(-1), ONE, out)


class _MLPStep:
    def __init__(self, mlp: MLP) -> None:
        self._gate, self._up = _array(mlp.gate_proj.weight), _array(mlp.up_proj.weight)
        self._down = _array(mlp.down_proj.weight)

    def add(self, x: Array, scale: np.float32, out: Array) -> None:
        inner = np.empty(self._gate.shape[0], np.float32)
        kernels.gated_matvec(self._gate, self._up, x, inner)
        kernels.add_matvec(self._down, _NONE, inner, scale, out)


class _ExpertsStep:
    def __init__(self, block: MixtureOfExperts) -> None:
        self._route = block.route
        self._experts = [_MLPStep(expert) for expert in block.experts]

    def add(self, x: Array, scale: np.float32, out: Array) -> None:
        weights, chosen = self._route(torch.from_numpy(x)[None])
        for weight, index in zip(weights[0].numpy(), chosen[0].tolist(), strict=True):
            self._experts[index].add(x, scale * weight, out)


_NONE = np.empty(0, np.float32)  # an absent bias


def _array(parameter: Tensor | None) -> Array:
    """The parameter's own memory; length 0 for an absent one."""
    if parameter is None:
        return _NONE
    array: Array = parameter.detach().contiguous().numpy()
    return array


def _product(weight: Array, bias: Array, x: Array) -> Array:
    out = np.zeros(weight.shape[0], np.float32)
    kernels.add_matvec(weight, bias, x, ONE, out)
    return out


def _one_token(heads: Array) -> Tensor:
    return torch.from_numpy(heads)[None, :, None]  # (1, KV heads, 1, head size)
