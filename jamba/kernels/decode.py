"""Numba kernels for one token of each of B sequences: every matrix is read once, by all cores.

Arrays are C-contiguous float32; conventions as in jamba/kernels/cpu.py. Weights may be int8 with a
scale for each row, and are then converted as they are read. An absent scale or bias is an array of
length 0. A row of a batch meets the same additions in the same order whatever the other rows
are, so a sequence gets the same bits in any company.
"""

import numpy as np
from numba import prange

from jamba.kernels.cpu import LOG2_E, chained, compiled, compiled_serial, exp2_fast, inlined

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
        total += np.float32(row[k]) * x[k]
    return total


@compiled
def add_product(weight, scale, x, out):  # type: ignore[no-untyped-def]
    """out += (x @ weight.T) * scale; weight (R, K), scale (R,), x (B, K), out (B, R)."""
    R, K = weight.shape
    for block in prange((R + 3) // 4):
        r = 4 * block
        if r + 4 > R:
            for last in range(r, R):
                s0 = scale[last] if scale.size else ONE
                for b in range(x.shape[0]):
                    out[b, last] += dot(weight[last], x[b]) * s0
        else:  # four rows together load x once
            w0, w1, w2, w3 = weight[r], weight[r + 1], weight[r + 2], weight[r + 3]
            s0 = s1 = s2 = s3 = ONE
            if scale.size:
                s0, s1, s2, s3 = scale[r], scale[r + 1], scale[r + 2], scale[r + 3]
            for b in range(x.shape[0]):
                x_b = x[b]
                t0 = t1 = t2 = t3 = np.float32(0.0)
                for k in range(K):
                    t0 += np.float32(w0[k]) * x_b[k]
                    t1 += np.float32(w1[k]) * x_b[k]
                    t2 += np.float32(w2[k]) * x_b[k]
                    t3 += np.float32(w3[k]) * x_b[k]
                out[b, r] += t0 * s0
                out[b, r + 1] += t1 * s1
                out[b, r + 2] += t2 * s2
                out[b, r + 3] += t3 * s3


@compiled
def gated_product(gate, gate_scale, up, up_scale, x, out):  # type: ignore[no-untyped-def]
    """out = silu(x @ gate.T) * (x @ up.T); gate, up (R, K), x (B, K), out (B, R)."""
    for r in prange(gate.shape[0]):
        s0 = gate_scale[r] if gate_scale.size else ONE
        s1 = up_scale[r] if up_scale.size else ONE
        for b in range(x.shape[0]):
            opened = carried = np.float32(0.0)
            for k in range(x.shape[1]):
                opened += np.float32(gate[r, k]) * x[b, k]
                carried += np.float32(up[r, k]) * x[b, k]
            out[b, r] = silu(opened * s0) * (carried * s1)


_add_product, _gated_product = add_product.dispatcher, gated_product.dispatcher  # type: ignore[attr-defined]


@chained
def mlp(gate, gate_scale, up, up_scale, down, down_scale, x, out):  # type: ignore[no-untyped-def]
    """out += down(silu(gate(x)) * up(x)); gate, up (R, K), down (K, R), x, out (B, K)."""
    inner = np.empty((x.shape[0], gate.shape[0]), np.float32)
    _gated_product(gate, gate_scale, up, up_scale, x, inner)
    _add_product(down, down_scale, inner, out)


@chained
def scan_inputs(x, x_weight, norms, eps, dt_weight, dt_bias, parts, dt):  # type: ignore[no-untyped-def]
    """What the scan needs of x (B, D): parts (B, R + 2N) are dt, B and C after their norms.

    x_weight: (R + 2N, D); norms: (R + 2N,), the three weights; dt_weight (D, R), dt_bias (D,) and
    dt (B, D), before its softplus. `parts` and `dt` are written.
    """
    none = np.empty(0, np.float32)
    R, N = dt_weight.shape[1], (norms.size - dt_weight.shape[1]) // 2
    parts[:] = np.float32(0.0)
    _add_product(x_weight, none, x, parts)
    for b in range(x.shape[0]):
        dt[b] = dt_bias
        for low, high in ((0, R), (R, R + N), (R + N, R + 2 * N)):
            part = parts[b, low:high]
            scale = ONE / np.sqrt(dot(part, part) / np.float32(high - low) + eps)
            for k in range(high - low):
                part[k] *= scale * norms[low + k]
    _add_product(dt_weight, none, np.ascontiguousarray(parts[:, :R]), dt)


@chained
def route(router, x, weights, chosen):  # type: ignore[no-untyped-def]
    """Softmax over all experts, then the likeliest; ties go to the lowest index.

    router (E, K), x (B, K); weights, chosen: (B, top k), written.
    """
    scores = np.zeros((x.shape[0], router.shape[0]), np.float32)
    _add_product(router, np.empty(0, np.float32), x, scores)
    for b in range(scores.shape[0]):
        highest = scores[b].max()
        total = np.float32(0.0)
        for e in range(scores.shape[1]):
            scores[b, e] = np.exp(scores[b, e] - highest)
            total += scores[b, e]
        for rank in range(chosen.shape[1]):
            best = scores[b].argmax()
            chosen[b, rank] = best
            weights[b, rank] = scores[b, best] / total
            scores[b, best] = np.float32(-1.0)


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
def scan_step(x, gate, dt, A2, B, C, D, state, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """One step of the scan with what stands around it; `state` (D, N) moves on.

    x, gate, out, D: (D,); dt: (D,) before its softplus; A2: (D, N), times log2(e); B, C: (N,).
    """
    for d in prange(x.size):
        raw = dt[d]
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
    """out = x / sqrt(mean(x * x) + eps) * weight; x (B, K), of which each row is contiguous."""
    for b in range(x.shape[0]):
        scale = ONE / np.sqrt(dot(x[b], x[b]) / np.float32(x.shape[1]) + eps)
        for k in range(x.shape[1]):
            out[b, k] = x[b, k] * scale * weight[k]
