"""The backward pass of the selective scan on the CPU; conventions as in jamba/kernels/cpu.py.

A block of channels is walked chunk by chunk, first forwards to keep the state before each chunk,
then backwards: the states of a chunk are computed again, and the gradients collected from them.
"""

import numpy as np
from numba import prange

from jamba.kernels.cpu import CHANNELS, compiled, exp2_fast, inlined

CHUNK = 16  # steps computed again at a time: their states and decays stay in the second-level cache


@compiled
def scan_backward(x, dt, A, A2, B, C, D, reset, state, dy, dstate, dx, ddt, dA, dB, dC):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Every gradient of the scan but that of D.

    Given: as scan_forward, with A and A2 = A * log2(e), and the gradients dy (B, T, D) of the
    output and dstate (B, D, N) of the final state, which becomes the initial state's in place.
    Written: dx, ddt (B, T, D); dA (B, D, N), a part for each sequence; dB, dC (blocks, B, T, N),
    a part for each block of CHANNELS channels, so that no two threads add to one number.
    """
    batch, steps, width = x.shape
    N = B.shape[2]
    blocks = (width + CHANNELS - 1) // CHANNELS
    for job in prange(batch * blocks):
        b, block = job // blocks, job % blocks
        low = block * CHANNELS
        here = slice(low, min(low + CHANNELS, width))
        chunks = (steps + CHUNK - 1) // CHUNK
        a, a2, da, carry = np.zeros((4, N, CHANNELS), np.float32)
        kept = np.zeros((chunks, N, CHANNELS), np.float32)  # the state before each chunk
        h = np.zeros((CHUNK + 1, N, CHANNELS), np.float32)
        decay = np.zeros((CHUNK, N, CHANNELS), np.float32)
        load(A[here], a)
        load(A2[here], a2)
        load(state[b, here], h[0])
        load(dstate[b, here], carry)
        for chunk in range(chunks):
            s = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, steps))
            kept[chunk] = h[0]
            states(x[b, s, here], dt[b, s, here], a2, B[b, s], reset[b, s], h, decay)
            h[0] = h[s.stop - s.start]
        for chunk in range(chunks - 1, -1, -1):
            s = slice(chunk * CHUNK, min((chunk + 1) * CHUNK, steps))
            h[0] = kept[chunk]
            states(x[b, s, here], dt[b, s, here], a2, B[b, s], reset[b, s], h, decay)
            gradients(
                x[b, s, here], dt[b, s, here], dy[b, s, here], a, B[b, s], C[b, s], D[here],
                h, decay, carry, dx[b, s, here], ddt[b, s, here], da,
                dB[block, b, s], dC[block, b, s],
            )  # fmt: skip
        store(da, dA[b, here])
        store(carry, dstate[b, here])


@inlined
def load(rows, columns):  # type: ignore[no-untyped-def]
    """Channels by states (count, N) to states by channels (N, CHANNELS)."""
    for c in range(rows.shape[0]):
        for n in range(rows.shape[1]):
            columns[n, c] = rows[c, n]


@inlined
def store(columns, rows):  # type: ignore[no-untyped-def]
    """The reverse of load."""
    for c in range(rows.shape[0]):
        for n in range(rows.shape[1]):
            rows[c, n] = columns[n, c]


@inlined
def states(x, dt, a2, B, reset, h, decay):  # type: ignore[no-untyped-def]
    """From h[0], the state after each step h (CHUNK + 1, N, CHANNELS) and the decays before it."""
    step, u = np.zeros((2, CHANNELS), np.float32)
    for t in range(x.shape[0]):
        alive = np.float32(0.0) if reset[t] else np.float32(1.0)
        for c in range(x.shape[1]):
            step[c] = dt[t, c]
            u[c] = dt[t, c] * x[t, c]
        for n in range(B.shape[1]):
            B_n = B[t, n]
            a2_n, decay_n, before, after = a2[n], decay[t, n], h[t, n], h[t + 1, n]
            for c in range(CHANNELS):  # a constant count, so that it runs in vector registers
                decay_n[c] = alive * exp2_fast(step[c] * a2_n[c])
                after[c] = decay_n[c] * before[c] + u[c] * B_n


@inlined
def gradients(x, dt, dy, a, B, C, D, h, decay, carry, dx, ddt, da, dB, dC):  # type: ignore[no-untyped-def]  # noqa: PLR0913
    """Last step to first; `carry` is dL/dh after the chunk and becomes dL/dh before it."""
    step, u, out, along_B, along_A = np.zeros((5, CHANNELS), np.float32)
    for t in range(x.shape[0] - 1, -1, -1):
        for c in range(x.shape[1]):
            step[c] = dt[t, c]
            u[c] = dt[t, c] * x[t, c]
            out[c] = dy[t, c]
        along_B[:] = np.float32(0.0)
        along_A[:] = np.float32(0.0)
        for n in range(B.shape[1]):
            B_n, C_n = B[t, n], C[t, n]
            sum_B, sum_C = np.float32(0.0), np.float32(0.0)
            a_n, da_n, carry_n = a[n], da[n], carry[n]
            decay_n, before, after = decay[t, n], h[t, n], h[t + 1, n]
            for c in range(CHANNELS):
                g = out[c] * C_n + carry_n[c]  # dL/dh_t
                back = decay_n[c] * g  # dL/dh_{t-1}
                past = back * before[c]  # dL/d(dt_t A_n)
                carry_n[c] = back
                along_B[c] += g * B_n
                along_A[c] += past * a_n[c]
                da_n[c] += past * step[c]
                sum_B += g * u[c]
                sum_C += out[c] * after[c]
            dB[t, n] = sum_B
            dC[t, n] = sum_C
        for c in range(x.shape[1]):
            dx[t, c] = D[c] * out[c] + step[c] * along_B[c]
            ddt[t, c] = x[t, c] * along_B[c] + along_A[c]
