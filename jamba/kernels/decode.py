"""Numba kernels for one token of one sequence: each matrix is read once, by all cores.

Arrays are C-contiguous float32; conventions as in jamba/kernels/cpu.py. An absent bias is an array
of length 0.
"""

import numpy as np
from numba import prange

from jamba.kernels.cpu import LOG2_E, compiled, compiled_serial, exp2_fast, inlined

ONE = np.float32(1.0)


@inlined
def silu(v):  # type: ignore[no-untyped-def]
    """v * sigmoid(v)."""
    return v / (ONE + exp2_fast(-v * LOG2_E)) if v > np.float32(-80.0) else np.float32(0.0)


@inlined
def dot(row, x):  # type: ignore[no-untyped-def]
    """Inner product of two vectors of one length."""
    total = np.float32(0.0)
    for k in range(x.size):
        total += row[k] * x[k]
    return total


@compiled
def add_matvec(weight, bias, x, scale, out):  # type: ignore[no-untyped-def]
    """out += scale * (weight @ x + bias); weight (R, K)."""
    for r in prange(weight.shape[0]):
        out[r] += scale * (dot(weight[r], x) + (bias[r] if bias.size else np.float32(0.0)))


@compiled
def gated_matvec(gate, up, x, out):  # type: ignore[no-untyped-def]
    """out = silu(gate @ x) * (up @ x)."""
    for r in prange(gate.shape[0]):
        out[r] = silu(dot(gate[r], x)) * dot(up[r], x)


@compiled_serial
def conv_step(x, window, weight, bias, out):  # type: ignore[no-untyped-def]
    """Causal convolution and SiLU for one token; `window` (W - 1, D) moves on by it.

    x, out: (D,); weight: (D, W).
    """
    before = window.shape[0]
    for d in range(x.size):
        total = weight[d, before] * x[d] + (bias[d] if bias.size else np.float32(0.0))
        for back in range(before):
            total += weight[d, back] * window[back, d]
        for back in range(before - 1):
            window[back, d] = window[back + 1, d]
        if before:
            window[before - 1, d] = x[d]
        out[d] = silu(total)


@compiled
def scan_step(x, gate, dt, dt_weight, dt_bias, A2, B, C, D, state, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """One step of the scan with what stands around it; `state` (D, N) moves on.

    x, gate, out, dt_bias, D: (D,); dt: (R,) after its norm; dt_weight: (D, R); A2: (D, N), times
    log2(e); B, C: (N,).
    """
    for d in prange(x.size):
        raw = dot(dt_weight[d], dt) + dt_bias[d]
        step = raw if raw > np.float32(20.0) else np.log1p(np.exp(raw))  # softplus
        total = D[d] * x[d]
        for n in range(B.size):
            advanced = exp2_fast(step * A2[d, n]) * state[d, n] + step * x[d] * B[n]
            state[d, n] = advanced
            total += advanced * C[n]
        out[d] = total * silu(gate[d])


@compiled
def attend(q, keys, values, seen, out):  # type: ignore[no-untyped-def]
    """Attention of one token to the first `seen` positions.

    q, out: (heads, size); keys, values: (KV heads, capacity, size).
    """
    heads, size = q.shape
    group = heads // keys.shape[0]
    scale = LOG2_E / np.sqrt(np.float32(size))
    for h in prange(heads):
        scores = np.empty(seen, np.float32)
        highest = np.float32(-np.inf)
        for s in range(seen):
            scores[s] = dot(keys[h // group, s], q[h]) * scale
            highest = max(highest, scores[s])
        total = np.float32(0.0)
        mixed = np.zeros(size, np.float32)
        for s in range(seen):
            weight = exp2_fast(scores[s] - highest)
            total += weight
            for k in range(size):
                mixed[k] += weight * values[h // group, s, k]
        for k in range(size):
            out[h, k] = mixed[k] / total


@compiled_serial
def rms_norm(x, weight, eps, out):  # type: ignore[no-untyped-def]
    """out = x / sqrt(mean(x * x) + eps) * weight."""
    scale = ONE / np.sqrt(dot(x, x) / np.float32(x.size) + eps)
    for k in range(x.size):
        out[k] = x[k] * scale * weight[k]
