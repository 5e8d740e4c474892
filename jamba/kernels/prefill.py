"""Numba kernels for what stands between the matrix products of a prompt.

Conventions as in jamba/kernels/cpu.py. `projected` (B, T, 2D) is what in_proj makes: the inputs of
the convolution and, behind them, the gate; both are read where they lie.
"""

import numpy as np
from numba import prange

from jamba.kernels.cpu import (
    CHANNELS,
    LOG2_E,
    advance,
    compiled,
    compiled_serial,
    inlined,
    silu,
    softplus,
)

ZERO, ONE = np.float32(0.0), np.float32(1.0)


@compiled
def conv_silu(projected, window, weight, bias, out):  # type: ignore[no-untyped-def]
    """Causal depthwise convolution over time, going on from a window, and its SiLU.

    window: (B, W - 1, D); weight: (W, D); bias: (D,), or (0,) for none; out: (B, T, D), written.
    """
    batch, steps, width = out.shape
    before = window.shape[1]
    for row in prange(batch * steps):
        b, t = row // steps, row % steps
        total = out[b, t]
        for d in range(width):
            total[d] = bias[d] if bias.size else ZERO
        for tap in range(before + 1):
            s = t + tap - before
            x = projected[b, s, :width] if s >= 0 else window[b, before + s]
            w = weight[tap]
            for d in range(width):
                total[d] += w[d] * x[d]
        for d in range(width):
            total[d] = silu(total[d])


@compiled_serial
def norm_parts(parts, R, dt_weight, b_weight, c_weight, eps):  # type: ignore[no-untyped-def]
    """RMS norms of dt, B and C, which stand side by side in `parts` (B, T, R + 2N), in place."""
    N = b_weight.size
    for b in range(parts.shape[0]):
        for t in range(parts.shape[1]):
            row = parts[b, t]
            normalise(row[:R], dt_weight, eps, row[:R])
            normalise(row[R : R + N], b_weight, eps, row[R : R + N])
            normalise(row[R + N :], c_weight, eps, row[R + N :])


@inlined
def normalise(x, weight, eps, out):  # type: ignore[no-untyped-def]
    """out = x / sqrt(mean(x * x) + eps) * weight, of one vector."""
    total = ZERO
    for k in range(x.size):
        total += x[k] * x[k]
    scale = ONE / np.sqrt(total / np.float32(x.size) + eps)
    for k in range(x.size):
        out[k] = x[k] * scale * weight[k]


@compiled
def gated_scan(x, projected, dt, A_log, parts, D, state):  # type: ignore[no-untyped-def]
    """The selective scan times silu(gate), written over x (B, T, D).

    dt: (B, T, D) before its softplus; A_log: (D, N); parts: (B, T, R + 2N), B and C at its end;
    D: (D,); `state` (B, D, N) is read, advanced and written in place.
    """
    batch, _, width = x.shape
    blocks = (width + CHANNELS - 1) // CHANNELS
    for job in prange(batch * blocks):
        b, low = job // blocks, (job % blocks) * CHANNELS
        _scan_channels(x[b], projected[b], dt[b], A_log, parts[b], D, state[b], low)


@compiled_serial  # by itself: parallel loops are looked for in what stands in a prange, slowly
def _scan_channels(x, projected, dt, A_log, parts, D, state, low):  # type: ignore[no-untyped-def]
    """What gated_scan does, for one sequence's channels from `low` on, CHANNELS at most."""
    steps, width = x.shape
    N = A_log.shape[1]
    R = parts.shape[1] - 2 * N
    high = min(low + CHANNELS, width)
    count = high - low
    D_here = D[low:high]
    h = np.zeros((N, CHANNELS), np.float32)
    a = np.zeros((N, CHANNELS), np.float32)
    step = np.zeros(CHANNELS, np.float32)
    u = np.zeros(CHANNELS, np.float32)
    out = np.zeros(CHANNELS, np.float32)
    for c in range(count):
        for n in range(N):
            h[n, c] = state[low + c, n]
            a[n, c] = -np.exp(A_log[low + c, n]) * LOG2_E
    for t in range(steps):
        x_t, dt_t, gate_t = (
            x[t, low:high],
            dt[t, low:high],
            projected[t, width + low : width + high],
        )
        for c in range(count):  # short loops over few arrays, or none of them is vectorised
            step[c] = softplus(dt_t[c])
        for c in range(count):
            u[c] = step[c] * x_t[c]
        for c in range(count):
            out[c] = D_here[c] * x_t[c]
        advance(h, a, step, u, parts[t, R : R + N], parts[t, R + N :], out)
        for c in range(count):
            x_t[c] = out[c] * silu(gate_t[c])
    for c in range(count):
        for n in range(N):
            state[low + c, n] = h[n, c]


@compiled
def gate(opened, carried):  # type: ignore[no-untyped-def]
    """opened = silu(opened) * carried; both (rows, K)."""
    for row in prange(opened.shape[0]):
        o, c = opened[row], carried[row]
        for k in range(o.size):
            o[k] = silu(o[k]) * c[k]
