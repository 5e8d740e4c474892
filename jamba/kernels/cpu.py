"""Numba kernels for the CPU. Arrays are C-contiguous float32 unless a comment says otherwise.

Compiled on first use and kept in numba's cache. One parallel kernel runs at a time: numba's own
threading layer, the one left where the system has no OpenMP, ends the process when two threads are
in it at once.
"""

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

import numpy as np
from numba import njit, prange

# Sums may be regrouped and multiply-adds fused; NaN and infinity keep their meaning.
FASTMATH = {"contract", "reassoc", "nsz", "arcp"}
CHANNELS = 64  # channels a thread carries together: their states stay in its first-level cache
LOG2_E = np.float32(1.4426950408889634)
HALF, ONE, TWO = np.float32(0.5), np.float32(1.0), np.float32(2.0)
HIGHEST = np.float32(126.0)  # a power of two that float32 still holds

Kernel = Callable[..., Any]
_PARALLEL = Lock()


def compiled(function: Kernel) -> Kernel:
    """Compile for all cores; cached on disk where a folder for it can be written."""
    return _guarded(_compile(function, parallel=True))


def chained(function: Kernel) -> Kernel:
    """Compile a chain of kernels for all cores, to be called by the name `dispatcher` of each."""
    return _guarded(_compile(function, parallel=False))


def _guarded(kernel: Kernel) -> Kernel:
    @wraps(kernel)
    def alone(*arguments: Any) -> Any:
        with _PARALLEL:
            return kernel(*arguments)

    alone.dispatcher = kernel  # type: ignore[attr-defined]
    return alone


def compiled_serial(function: Kernel) -> Kernel:
    """Compile for one core, for what is too short to share; cached likewise."""
    return _compile(function, parallel=False)


def _compile(function: Kernel, parallel: bool) -> Kernel:
    options = {"parallel": parallel, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        kernel: Kernel = njit(cache=True, **options)(function)
    except RuntimeError:  # neither this folder nor the user's cache folder can be written
        kernel = njit(**options)(function)
    return kernel


def inlined(function: Kernel) -> Kernel:
    """A helper that disappears into the kernels that call it."""
    helper: Kernel = njit(inline="always", fastmath=FASTMATH)(function)
    return helper


@inlined
def exp2_fast(v):  # type: ignore[no-untyped-def]
    """2**v for -inf < v < 127 to a relative error of 3e-7; values below 2**-126 become 2**-126."""
    v = max(v, np.float32(-126.0))
    k = np.floor(v + np.float32(0.5))
    f = v - k  # [-0.5, 0.5]
    p = np.float32(1.5403530e-4)
    p = p * f + np.float32(1.3333558e-3)
    p = p * f + np.float32(9.6181291e-3)
    p = p * f + np.float32(5.5504109e-2)
    p = p * f + np.float32(2.4022651e-1)
    p = p * f + np.float32(6.9314718e-1)
    p = p * f + np.float32(1.0)
    return p * np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)


@inlined
def silu(v):  # type: ignore[no-untyped-def]
    """v * sigmoid(v), without a branch, so that a loop of it runs in vector registers."""
    return v / (ONE + exp2_fast(min(-v * LOG2_E, HIGHEST)))


@inlined
def softplus(v):  # type: ignore[no-untyped-def]
    """log(1 + exp(v)) = max(v, 0) + 2 atanh(e / (2 + e)), e = exp(-abs(v)); small values, too."""
    e = exp2_fast(-abs(v) * LOG2_E)
    s = e / (TWO + e)  # at most a third, so six terms of the series are enough
    q = s * s
    p = np.float32(2 / 11)
    p = p * q + np.float32(2 / 9)
    p = p * q + np.float32(2 / 7)
    p = p * q + np.float32(2 / 5)
    p = p * q + np.float32(2 / 3)
    p = p * q + TWO
    return HALF * (v + abs(v)) + p * s  # max() would lose a NaN


@inlined
def advance(h, a, step, u, B, C, out):  # type: ignore[no-untyped-def]
    """One step of CHANNELS channels: h = 2**(step * a) * h + u * B, then out += C . h.

    h, a: (N, CHANNELS); step, u, out: (CHANNELS,); B, C: (N,).
    """
    for n in range(B.size):
        h_n, a_n = h[n], a[n]
        for c in range(CHANNELS):  # a constant count, so that it runs in vector registers
            advanced = exp2_fast(step[c] * a_n[c]) * h_n[c] + u[c] * B[n]
            h_n[c] = advanced
            out[c] += advanced * C[n]


@compiled
def scan_forward(x, dt, A2, B, C, D, reset, state, y):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """The selective scan; `state` (B, D, N) is read, advanced and written in place.

    x, dt, y: (B, T, D); A2 = A * log2(e): (D, N); B, C: (B, T, N); D: (D,); reset: (B, T) bool.
    """
    batch, steps, width = x.shape
    N = B.shape[2]
    blocks = (width + CHANNELS - 1) // CHANNELS
    for job in prange(batch * blocks):
        b = job // blocks
        low = (job % blocks) * CHANNELS
        count = min(CHANNELS, width - low)
        h = np.zeros((N, CHANNELS), np.float32)
        a = np.zeros((N, CHANNELS), np.float32)
        step = np.zeros(CHANNELS, np.float32)
        u = np.zeros(CHANNELS, np.float32)
        out = np.zeros(CHANNELS, np.float32)
        for c in range(count):
            for n in range(N):
                h[n, c] = state[b, low + c, n]
                a[n, c] = A2[low + c, n]
        for t in range(steps):
            if reset[b, t]:
                h[:] = np.float32(0)
            x_t = x[b, t, low : low + count]
            dt_t = dt[b, t, low : low + count]
            y_t = y[b, t, low : low + count]
            for c in range(count):
                step[c] = dt_t[c]
                u[c] = dt_t[c] * x_t[c]
                out[c] = D[low + c] * x_t[c]
            advance(h, a, step, u, B[b, t], C[b, t], out)
            for c in range(count):
                y_t[c] = out[c]
        for c in range(count):
            for n in range(N):
                state[b, low + c, n] = h[n, c]
