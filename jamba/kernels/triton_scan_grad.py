"""The gradient of the selective scan on a GPU, in the chunks of jamba/kernels/triton_scan.py.

What flows back through the states obeys the same recurrence with time reversed, so chunks are
linked the same way. States inside a chunk are computed again and kept in memory for one call.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from jamba.kernels.triton_scan import CHANNELS, CHUNK, beginnings, chunks, flags, link


def scan_backward(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor,
    reset: Tensor | None, dy: Tensor, dfinal: Tensor,
) -> tuple[Tensor, ...]:  # fmt: skip
    """Gradients of x, dt, A, B, C, D and state, each in float32.

    Shapes as in `jamba.network.scan.selective_scan`; dy (B, T, D), dfinal (B, D, N).
    """
    x, dt, A, B, C, dy = (tensor.contiguous() for tensor in (x, dt, A, B, C, dy))
    batch, steps, width = x.shape
    N, blocks = A.shape[1], triton.cdiv(width, CHANNELS)
    begins, decays, _ = beginnings(x, dt, A, B, state, reset)
    grid = (blocks, chunks(steps), batch)
    sizes = {"CHUNK": CHUNK, "CHANNELS": CHANNELS, "STATES": triton.next_power_of_2(N)}
    options = {**sizes, "HAS_RESET": reset is not None, "num_warps": 1}
    given = (x, dt, A, B, C, D, flags(reset, x), dy)
    shape = (steps, width, N, chunks(steps))

    flows = torch.empty_like(begins)
    _flows[grid](dt, A, C, flags(reset, x), dy, flows, *shape, **options)
    dstate = link(flows, decays, dfinal, is_reversed=True)

    def empty(*size: int) -> Tensor:
        return torch.empty(size, dtype=torch.float32, device=x.device)

    states = empty(batch, steps, width, N)
    dx, ddt = empty(*x.shape), empty(*x.shape)
    dA = empty(batch, chunks(steps), width, N)
    dB, dC = empty(blocks, *B.shape), empty(blocks, *C.shape)
    _gradients[grid](*given, begins, flows, states, dx, ddt, dA, dB, dC, *shape, batch, **options)
    dD = (dy.float() * x.float()).sum((0, 1))
    return dx, ddt, dA.sum((0, 1)), dB.sum(0), dC.sum(0), dD, dstate


@triton.jit
def _flows(  # type: ignore[no-untyped-def]
    dt, A, C, reset, dy, flows, T, D, N, chunks,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, HAS_RESET: tl.constexpr,
):  # fmt: skip
    """The gradient of the state before each chunk, of what the chunk itself gives."""
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    n = tl.arange(0, STATES)
    chunk, b = tl.program_id(1), tl.program_id(2).to(tl.int64)
    matrix = d[:, None] * N + n[None, :]
    on = (d < D)[:, None] & (n < N)[None, :]
    a = tl.load(A + matrix, mask=on, other=0.0)
    flow = tl.zeros((CHANNELS, STATES), tl.float32)
    first, end = chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, T)
    for back in range(end - first):
        row = b * T + end - 1 - back
        dt_t = tl.load(dt + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dy_t = tl.load(dy + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        C_t = tl.load(C + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        flow = tl.exp(dt_t[:, None] * a) * (flow + dy_t[:, None] * C_t[None, :])
        if HAS_RESET:
            flow *= 1.0 - tl.load(reset + row).to(tl.float32)
    tl.store(flows + (b * chunks + chunk) * D * N + matrix, flow, mask=on)


@triton.jit
def _gradients(  # type: ignore[no-untyped-def]
    x, dt, A, B, C, D_skip, reset, dy, begins, flows, states, dx, ddt, dA, dB, dC,
    T, D, N, chunks, batch,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, HAS_RESET: tl.constexpr,
):  # fmt: skip
    """All gradients of one chunk of CHANNELS channels; dB and dC summed over these alone."""
    block = tl.program_id(0).to(tl.int64)
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    n = tl.arange(0, STATES)
    chunk, b = tl.program_id(1), tl.program_id(2).to(tl.int64)
    matrix = d[:, None] * N + n[None, :]
    on = (d < D)[:, None] & (n < N)[None, :]
    a = tl.load(A + matrix, mask=on, other=0.0)
    skip = tl.load(D_skip + d, mask=d < D, other=0.0).to(tl.float32)
    at_chunk = (b * chunks + chunk) * D * N + matrix
    begin = tl.load(begins + at_chunk, mask=on, other=0.0)
    first, end = chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, T)

    h = begin
    for t in range(first, end):
        row = b * T + t
        x_t = tl.load(x + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dt_t = tl.load(dt + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        B_t = tl.load(B + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        if HAS_RESET:
            h *= 1.0 - tl.load(reset + row).to(tl.float32)
        h = tl.exp(dt_t[:, None] * a) * h + (dt_t * x_t)[:, None] * B_t[None, :]
        tl.store(states + row * D * N + matrix, h, mask=on)
    tl.debug_barrier()  # what is read below may have been written by another thread

    flow = tl.load(flows + at_chunk, mask=on, other=0.0)
    dA_sum = tl.zeros((CHANNELS, STATES), tl.float32)
    for back in range(end - first):
        t = end - 1 - back
        row = b * T + t
        x_t = tl.load(x + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dt_t = tl.load(dt + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dy_t = tl.load(dy + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        B_t = tl.load(B + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        C_t = tl.load(C + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        h_t = tl.load(states + row * D * N + matrix, mask=on, other=0.0)
        is_inside = on & (t > first)
        before = tl.load(states + (row - 1) * D * N + matrix, mask=is_inside, other=0.0)
        before = tl.where(t > first, before, begin)
        if HAS_RESET:
            before *= 1.0 - tl.load(reset + row).to(tl.float32)
        g = flow + dy_t[:, None] * C_t[None, :]  # of h[t]
        decay = tl.exp(dt_t[:, None] * a)
        dlog = g * decay * before  # of dt[t] * A
        du = tl.sum(g * B_t[None, :], 1)  # of dt[t] * x[t]
        dx_t, ddt_t = dy_t * skip + du * dt_t, tl.sum(dlog * a, 1) + du * x_t
        tl.store(dx + row * D + d, dx_t, mask=d < D)
        tl.store(ddt + row * D + d, ddt_t, mask=d < D)
        at_row = (block * batch * T + row) * N + n
        tl.store(dB + at_row, tl.sum(g * (dt_t * x_t)[:, None], 0), mask=n < N)
        tl.store(dC + at_row, tl.sum(dy_t[:, None] * h_t, 0), mask=n < N)
        dA_sum += dlog * dt_t[:, None]
        flow = decay * g
        if HAS_RESET:
            flow *= 1.0 - tl.load(reset + row).to(tl.float32)
    tl.store(dA + at_chunk, dA_sum, mask=on)
