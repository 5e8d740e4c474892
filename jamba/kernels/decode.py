"""One token of each of B sequences, as a program that all cores run together.

A program is a table of phases, which jamba/network/decode.py makes. A phase is cut into blocks; a
core takes those of its own share one after the other, then what is left of the others' shares, and
goes on to the next phase when all blocks are done.
Nobody waits for a core that has not begun, so a program ends on any number of them. It is one
launch a token: launching every product by itself took longer than small products do.

Weights are float32, or int8 with a scale for each row. A sum is the same to the bit in any company:
products are those of jamba/kernels/tiles.py, and everything else goes sequence by sequence.
"""

from enum import IntEnum

import numpy as np
from numba import prange

from jamba.kernels.atomics import fetch_add, floats, integers, wait_until
from jamba.kernels.cpu import (
    LOG2_E,
    compiled,
    compiled_serial,
    exp2_fast,
    inlined,
    silu,
    softplus,
)
from jamba.kernels.tiles import COLUMNS, dots

ONE = np.float32(1.0)


class Op(IntEnum):
    """What a phase does; its operands are listed at the kernel of that name."""

    NORM = 0
    PRODUCT = 1
    GATED = 2
    CONVOLVE = 3
    SCAN = 4
    ATTEND = 5
    ROUTE = 6
    EXPERTS_OPEN = 7
    EXPERTS_CLOSE = 8


NORM, PRODUCT, GATED, CONVOLVE, SCAN, ATTEND, ROUTE, EXPERTS_OPEN, EXPERTS_CLOSE = map(int, Op)

# A phase: what, how many blocks, whether so many for each sequence, then operands.
OP, BLOCKS, EACH, OPERANDS = 0, 1, 2, 3
WIDTH = 20
MOST_ROWS = 512  # of a block
EACH_BLOCK = 1  # a phase has its blocks for each sequence
# A matrix takes four operands: addresses of weights, scales and bias (0: none), and its type.
MATRIX = 4
SEEN = -2  # the row of a table of slots (jamba/network/slots.py) with the tokens before this one
CAPACITY = -3


@inlined
def dot(row, x):  # type: ignore[no-untyped-def]
    """Inner product of two short vectors of one length."""
    total = np.float32(0.0)
    for k in range(x.size):
        total += row[k] * x[k]
    return total


@compiled
def run(program, slots, counters, cores):  # type: ignore[no-untyped-def]
    """Run a program (P, WIDTH) on some cores; `counters` (cores + 1, P) are zero.

    slots: (2 layers + 3, B), as jamba/network/slots.py makes it.
    """
    for core in prange(cores):
        _work(program, slots, counters, core)


@compiled_serial
def _work(program, slots, counters, core):  # type: ignore[no-untyped-def]
    batch, cores = slots.shape[1], counters.shape[0] - 1
    sums = np.empty(2 * MOST_ROWS * COLUMNS, np.float32)
    row = 8 * program.shape[0]  # bytes of one core's counters
    done = counters.ctypes.data + cores * row
    for p in range(program.shape[0]):
        phase = program[p]
        blocks = phase[BLOCKS] * (batch if phase[EACH] else 1)
        for turn in range(cores):  # one's own blocks, which lie side by side, then the others'
            owner = (core + turn) % cores
            claim = counters.ctypes.data + owner * row + 8 * p
            first, end = blocks * owner // cores, blocks * (owner + 1) // cores
            block = first + fetch_add(claim, 1)
            while block < end:
                _perform(phase, block, slots, sums)
                fetch_add(done + 8 * p, 1)
                block = first + fetch_add(claim, 1)
        wait_until(done + 8 * p, blocks)


@compiled_serial
def _perform(phase, block, slots, sums):  # type: ignore[no-untyped-def]
    at, batch = phase[OPERANDS:], slots.shape[1]
    op = phase[OP]
    if op == NORM:
        norm(at, block)
    elif op == PRODUCT:
        product(at, block, batch, sums)
    elif op == GATED:
        gated(at, block, batch, sums)
    elif op == CONVOLVE:
        convolve(at, block, phase[BLOCKS], slots)
    elif op == SCAN:
        scan(at, block, phase[BLOCKS], slots, sums)
    elif op == ATTEND:
        attend(at, block, phase[BLOCKS], slots)
    elif op == ROUTE:
        route(at, block, sums)
    elif op == EXPERTS_OPEN:
        experts_open(at, block, batch, sums)
    elif op == EXPERTS_CLOSE:
        experts_close(at, block, batch, sums)


@compiled_serial
def norm(at, b):  # type: ignore[no-untyped-def]
    """RMS norm of one row: source and target (B, K), weights (K,) and epsilon, K."""
    source, target, weights, K = at[0], at[1], at[2], at[3]
    x, out = floats(source + 4 * K * b, K), floats(target + 4 * K * b, K)
    weight = floats(weights, K + 1)
    scale = ONE / np.sqrt(dot(x, x) / np.float32(K) + weight[K])
    for k in range(K):
        out[k] = x[k] * scale * weight[k]


@compiled_serial
def product(at, block, batch, sums):  # type: ignore[no-untyped-def]
    """Some rows of a product: matrix, R, K, source (B, K), target (B, R), rows a block, adds."""
    R, K, source, target, size, adds = at[4], at[5], at[6], at[7], at[8], at[9]
    x, out, factors = _everyone(batch, source, K, target, R)
    low, high = block * size, min(R, (block + 1) * size)
    _add_rows(at, low, high, K, x, out, factors, batch, adds, sums)


@compiled_serial
def gated(at, block, batch, sums):  # type: ignore[no-untyped-def]
    """Some rows of silu(gate(x)) * up(x).

    Operands: both matrices, R, K, source (B, K), target (B, R), rows a block.
    """
    R, K, source, target, size = at[8], at[9], at[10], at[11], at[12]
    x, out, _ = _everyone(batch, source, K, target, R)
    _gate_rows(at, block * size, min(R, (block + 1) * size), K, x, out, batch, sums)


@compiled_serial
def _everyone(batch, source, K, target, R):  # type: ignore[no-untyped-def]
    """The addresses of the rows of source (B, K) and target (B, R), and a factor of one each."""
    x, out = np.empty(batch, np.int64), np.empty(batch, np.int64)
    for b in range(batch):
        x[b] = source + 4 * K * b
        out[b] = target + 4 * R * b
    return x, out, np.ones(batch, np.float32)


@compiled_serial
def _add_rows(matrix, low, high, K, x, out, factors, count, adds, sums):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """out[r] (+)= factor * matrix[r] . x for rows low..high and `count` pairs of addresses."""
    for first in range(0, count, COLUMNS):
        columns = min(COLUMNS, count - first)
        _rows_of(matrix, low, high, K, x[first:], columns, sums)
        for c in range(columns):
            y, factor = floats(out[first + c], high), factors[first + c]
            if not adds:
                y[low:high] = np.float32(0.0)
            for r in range(high - low):
                y[low + r] += factor * sums[r * columns + c]


@compiled_serial
def _gate_rows(pair, low, high, K, x, out, count, sums):  # type: ignore[no-untyped-def]
    """out[r] = silu(gate[r] . x) * (up[r] . x); as `_add_rows`, `pair` being two matrices."""
    carried = sums[sums.size // 2 :]
    for first in range(0, count, COLUMNS):
        columns = min(COLUMNS, count - first)
        _rows_of(pair, low, high, K, x[first:], columns, sums)
        _rows_of(pair[MATRIX:], low, high, K, x[first:], columns, carried)
        for c in range(columns):
            y = floats(out[first + c], high)
            for r in range(high - low):
                y[low + r] = silu(sums[r * columns + c]) * carried[r * columns + c]


@compiled_serial
def _rows_of(matrix, low, high, K, x, columns, sums):  # type: ignore[no-untyped-def]
    """sums[r * columns + c]: some rows of a matrix, scale and bias included, times vectors."""
    is_int8, rows = matrix[3], high - low
    first = matrix[0] + low * K * (1 if is_int8 else 4)
    dots(first, is_int8, rows, x, columns, K, sums.ctypes.data)
    if is_int8:
        scale = floats(matrix[1], high)
        for r in range(rows):
            for c in range(columns):
                sums[r * columns + c] *= scale[low + r]
    if matrix[2]:
        bias = floats(matrix[2], high)
        for r in range(rows):
            for c in range(columns):
                sums[r * columns + c] += bias[low + r]


@compiled_serial
def convolve(at, block, parts, slots):  # type: ignore[no-untyped-def]
    """Causal convolution and SiLU of some channels of one sequence, whose window moves on.

    Operands: layer, source (B, 2D), target (B, D), weights (W, D), bias (0: none), D, W, channels.
    """
    layer, source, target, D, W, size = at[0], at[1], at[2], at[5], at[6], at[7]
    b, part = block // parts, block % parts
    low, high = part * size, min(D, (part + 1) * size)
    x, out = floats(source + 8 * D * b, D), floats(target + 4 * D * b, D)
    weight = floats(at[3], W * D)
    window = floats(slots[2 * layer, b], (W - 1) * D)
    for d in range(low, high):
        out[d] = weight[(W - 1) * D + d] * x[d]
    if at[4]:
        bias = floats(at[4], D)
        for d in range(low, high):
            out[d] += bias[d]
    for back in range(W - 1):
        for d in range(low, high):
            out[d] += weight[back * D + d] * window[back * D + d]
    for back in range(W - 2):
        for d in range(low, high):
            window[back * D + d] = window[(back + 1) * D + d]
    for d in range(low, high):
        if W > 1:
            window[(W - 2) * D + d] = x[d]
        out[d] = silu(out[d])


@compiled_serial
def scan(at, block, parts, slots, sums):  # type: ignore[no-untyped-def]
    """One step of the scan for some channels of one sequence, with what stands around it.

    Operands: layer; x (B, D), gate (B, 2D, its second half), dt, B and C before their norms
    (B, R + 2N), target (B, D); norm weights (R + 2N,) and epsilon, dt weights (D, R) and bias (D,),
    A * log2(e) (D, N), D's weights; D, R, N, channels.
    """
    layer, D, R, N, size = at[0], at[10], at[11], at[12], at[13]
    b, part = block // parts, block % parts
    low, high = part * size, min(D, (part + 1) * size)
    x, out = floats(at[1] + 4 * D * b, D), floats(at[4] + 4 * D * b, D)
    gate = floats(at[2] + 8 * D * b, D)
    wide = R + 2 * N
    raw, weight = floats(at[3] + 4 * wide * b, wide), floats(at[5], wide + 1)
    normed = np.empty(wide, np.float32)
    for begin, end in ((0, R), (R, R + N), (R + N, wide)):
        part = raw[begin:end]
        scale = ONE / np.sqrt(dot(part, part) / np.float32(end - begin) + weight[wide])
        for k in range(begin, end):
            normed[k] = raw[k] * scale * weight[k]
    B, C = normed[R : R + N], normed[R + N :]
    place = np.full(1, normed.ctypes.data, np.int64)
    dots(at[6] + 4 * low * R, 0, high - low, place, 1, R, sums.ctypes.data)
    dt, dt_bias = sums[: high - low], floats(at[7], D)
    for d in range(low, high):
        dt[d - low] = softplus(dt[d - low] + dt_bias[d])
    A2, skip = floats(at[8], D * N), floats(at[9], D)
    state = floats(slots[2 * layer + 1, b], D * N)
    decay = np.empty(N, np.float32)
    for d in range(low, high):
        step = dt[d - low]
        inflow = step * x[d]
        a, h = A2[d * N : (d + 1) * N], state[d * N : (d + 1) * N]
        for n in range(N):  # short loops over few arrays, or none of them is vectorised
            decay[n] = exp2_fast(step * a[n])
        for n in range(N):
            h[n] = decay[n] * h[n] + inflow * B[n]
        out[d] = skip[d] * x[d] + dot(h, C)
    for d in range(low, high):
        out[d] *= silu(gate[d])


@compiled_serial
def attend(at, block, groups, slots):  # type: ignore[no-untyped-def]
    """Attention of one token's heads that share a key, which joins those of the sequence first.

    Operands: layer; q (B, heads, size), k and v (B, groups, size), target as q; heads, size.
    """
    layer, heads, size = at[0], at[5], at[6]
    b, group = block // groups, block % groups
    capacity, seen = slots[CAPACITY, b], slots[SEEN, b]
    first = 4 * group * capacity * size
    keys = floats(slots[2 * layer, b] + first, capacity * size)
    values = floats(slots[2 * layer + 1, b] + first, capacity * size)
    k = floats(at[2] + 4 * (b * groups + group) * size, size)
    v = floats(at[3] + 4 * (b * groups + group) * size, size)
    for i in range(size):
        keys[seen * size + i] = k[i]
        values[seen * size + i] = v[i]
    share = heads // groups
    scores = np.empty(seen + 1, np.float32)
    for head in range(group * share, (group + 1) * share):
        q = floats(at[1] + 4 * (b * heads + head) * size, size)
        out = floats(at[4] + 4 * (b * heads + head) * size, size)
        _attend_head(q, keys, values, scores, out)


@compiled_serial
def _attend_head(q, keys, values, scores, out):  # type: ignore[no-untyped-def]
    size = q.size
    scale = LOG2_E / np.sqrt(np.float32(size))
    highest = np.float32(-np.inf)
    for s in range(scores.size):
        scores[s] = dot(keys[s * size : (s + 1) * size], q) * scale
        highest = max(highest, scores[s])
    total = np.float32(0.0)
    out[:] = np.float32(0.0)
    for s in range(scores.size):
        weight = exp2_fast(scores[s] - highest)
        total += weight
        for i in range(size):
            out[i] += weight * values[s * size + i]
    for i in range(size):
        out[i] /= total


@compiled_serial
def route(at, b, sums):  # type: ignore[no-untyped-def]
    """Softmax over all experts, then the likeliest of them; ties go to the lowest number.

    Operands: router, E, K, source (B, K), chosen (B, top) int64, weights (B, top), top.
    """
    E, K, source, top = at[4], at[5], at[6], at[9]
    chosen, weights = integers(at[7] + 8 * top * b, top), floats(at[8] + 4 * top * b, top)
    x = np.full(1, source + 4 * K * b, np.int64)
    scores = np.empty(E, np.float32)
    _rows_of(at, 0, E, K, x, 1, sums)
    scores[:] = sums[:E]
    highest = scores.max()
    total = np.float32(0.0)
    for e in range(E):
        scores[e] = np.exp(scores[e] - highest)
        total += scores[e]
    for rank in range(top):
        best = scores.argmax()
        chosen[rank] = best
        weights[rank] = scores[best] / total
        scores[best] = np.float32(-1.0)


@compiled_serial
def experts_open(at, block, batch, sums):  # type: ignore[no-untyped-def]
    """Some rows of silu(gate(x)) * up(x) of each expert, for those who chose it.

    Operands: address of gate, up and down of all experts (E, 3 * MATRIX) int64, E, R, K, source
    (B, K), chosen (B, top), top, target (B * top, R), rows a block.
    """
    experts, E, R, K, source, picks, top, target, size = at[:9]
    chosen = integers(picks, batch * top)
    x, out = np.empty(batch, np.int64), np.empty(batch, np.int64)
    for e in range(E):
        takers = 0
        for place in range(batch * top):
            if chosen[place] == e:
                x[takers] = source + 4 * K * (place // top)
                out[takers] = target + 4 * R * place
                takers += 1
        pair = integers(experts + 8 * e * 3 * MATRIX, 2 * MATRIX)
        _gate_rows(pair, block * size, min(R, (block + 1) * size), K, x, out, takers, sums)


@compiled_serial
def experts_close(at, block, batch, sums):  # type: ignore[no-untyped-def]
    """Adds some rows of each expert's down product, weighted, for those who chose it.

    Operands: the experts' matrices, E, R, K, source (B * top, K), chosen (B, top), top, weights
    (B, top), target (B, R), rows a block.
    """
    experts, E, R, K, source, picks, top, shares, target, size = at[:10]
    chosen, weights = integers(picks, batch * top), floats(shares, batch * top)
    x, out = np.empty(batch, np.int64), np.empty(batch, np.int64)
    factors = np.empty(batch, np.float32)
    for e in range(E):
        takers = 0
        for place in range(batch * top):
            if chosen[place] == e:
                x[takers] = source + 4 * K * place
                out[takers] = target + 4 * R * (place // top)
                factors[takers] = weights[place]
                takers += 1
        down = integers(experts + 8 * (e * 3 + 2) * MATRIX, MATRIX)
        low, high = block * size, min(R, (block + 1) * size)
        _add_rows(down, low, high, K, x, out, factors, takers, 1, sums)
