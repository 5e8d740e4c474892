"""The selective scan on a GPU: chunks of time side by side, linked by their states.

Each chunk is scanned from a zero state first, which gives what it adds and how far it lets an
earlier state decay; these are linked, and each chunk is scanned again from its true beginning. The
state is float32 whatever the inputs are.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

CHUNK = 64  # steps that one program takes one after another
CHANNELS = 32  # of a program, which is one warp
LINK_BLOCK = 1024


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor,
    reset: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `jamba.network.scan.selective_scan`, for tensors on a GPU."""
    x, dt, A, B, C = (tensor.contiguous() for tensor in (x, dt, A, B, C))
    begins, _, final = beginnings(x, dt, A, B, state, reset)
    y = torch.empty_like(x)
    _, steps, width = x.shape
    _outputs[_grid(x)](
        x, dt, A, B, C, D, flags(reset, x), begins, y,
        steps, width, A.shape[1], chunks(steps),
        CHUNK=CHUNK, CHANNELS=CHANNELS, STATES=triton.next_power_of_2(A.shape[1]),
        HAS_RESET=reset is not None, num_warps=1,
    )  # fmt: skip
    return y, final


def beginnings(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, state: Tensor, reset: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """The state before each chunk, how it decays over the chunk, and the state after the last.

    The first two are (B, chunks, D, N), the last (B, D, N). All inputs are contiguous.
    """
    batch, steps, width = x.shape
    N = A.shape[1]
    ends = x.new_empty(batch, chunks(steps), width, N, dtype=torch.float32)
    decays = torch.empty_like(ends)
    _ends[_grid(x)](
        x, dt, A, B, flags(reset, x), ends, decays,
        steps, width, N, chunks(steps),
        CHUNK=CHUNK, CHANNELS=CHANNELS, STATES=triton.next_power_of_2(N),
        HAS_RESET=reset is not None, num_warps=1,
    )  # fmt: skip
    final = link(ends, decays, state, is_reversed=False)
    return ends, decays, final


def link(ends: Tensor, decays: Tensor, first: Tensor, is_reversed: bool) -> Tensor:
    """Turn what each chunk gives by itself into what comes into it; returns what leaves the last.

    `ends` (B, chunks, D, N) is overwritten; `first` (B, D, N) comes into the first chunk, or into
    the last where time runs backwards.
    """
    batch, count, width, N = ends.shape
    out = torch.empty_like(first, dtype=torch.float32, memory_format=torch.contiguous_format)
    grid = (triton.cdiv(width * N, LINK_BLOCK), batch)
    _link[grid](
        ends, decays, first.contiguous(), out, count, width * N,
        BLOCK=LINK_BLOCK, IS_REVERSED=is_reversed,
    )  # fmt: skip
    return out


def chunks(steps: int) -> int:
    """How many chunks so many steps make."""
    return -(-steps // CHUNK)


def flags(reset: Tensor | None, like: Tensor) -> Tensor:
    """Resets as bytes; where there are none, any tensor, which no kernel reads."""
    return like if reset is None else reset.contiguous().to(torch.int8)


def _grid(x: Tensor) -> tuple[int, int, int]:
    batch, steps, width = x.shape
    return triton.cdiv(width, CHANNELS), chunks(steps), batch


@triton.jit
def _ends(  # type: ignore[no-untyped-def]
    x, dt, A, B, reset, ends, decays, T, D, N, chunks,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, HAS_RESET: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    n = tl.arange(0, STATES)
    chunk, b = tl.program_id(1), tl.program_id(2).to(tl.int64)
    matrix = d[:, None] * N + n[None, :]
    on = (d < D)[:, None] & (n < N)[None, :]
    a = tl.load(A + matrix, mask=on, other=0.0)
    h = tl.zeros((CHANNELS, STATES), tl.float32)
    total = tl.zeros((CHANNELS,), tl.float32)
    kept = tl.zeros((CHANNELS,), tl.float32) + 1.0
    for t in range(chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, T)):
        row = b * T + t
        x_t = tl.load(x + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dt_t = tl.load(dt + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        B_t = tl.load(B + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        if HAS_RESET:
            goes_on = 1.0 - tl.load(reset + row).to(tl.float32)
            h *= goes_on
            kept *= goes_on
        h = tl.exp(dt_t[:, None] * a) * h + (dt_t * x_t)[:, None] * B_t[None, :]
        total += dt_t
    out = (b * chunks + chunk) * D * N + matrix
    tl.store(ends + out, h, mask=on)
    tl.store(decays + out, tl.exp(total[:, None] * a) * kept[:, None], mask=on)


@triton.jit
def _link(ends, decays, first, out, chunks, size, BLOCK: tl.constexpr, IS_REVERSED: tl.constexpr):  # type: ignore[no-untyped-def]
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    b = tl.program_id(1).to(tl.int64)
    h = tl.load(first + b * size + i, mask=i < size).to(tl.float32)
    for step in range(chunks):
        chunk = chunks - 1 - step if IS_REVERSED else step
        at = (b * chunks + chunk) * size + i
        added = tl.load(ends + at, mask=i < size)
        tl.store(ends + at, h, mask=i < size)
        h = tl.load(decays + at, mask=i < size) * h + added
    tl.store(out + b * size + i, h, mask=i < size)


@triton.jit
def _outputs(  # type: ignore[no-untyped-def]
    x, dt, A, B, C, D_skip, reset, begins, y, T, D, N, chunks,
    CHUNK: tl.constexpr, CHANNELS: tl.constexpr, STATES: tl.constexpr, HAS_RESET: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    n = tl.arange(0, STATES)
    chunk, b = tl.program_id(1), tl.program_id(2).to(tl.int64)
    matrix = d[:, None] * N + n[None, :]
    on = (d < D)[:, None] & (n < N)[None, :]
    a = tl.load(A + matrix, mask=on, other=0.0)
    skip = tl.load(D_skip + d, mask=d < D, other=0.0).to(tl.float32)
    h = tl.load(begins + (b * chunks + chunk) * D * N + matrix, mask=on, other=0.0)
    for t in range(chunk * CHUNK, tl.minimum(chunk * CHUNK + CHUNK, T)):
        row = b * T + t
        x_t = tl.load(x + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        dt_t = tl.load(dt + row * D + d, mask=d < D, other=0.0).to(tl.float32)
        B_t = tl.load(B + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        C_t = tl.load(C + row * N + n, mask=n < N, other=0.0).to(tl.float32)
        if HAS_RESET:
            h *= 1.0 - tl.load(reset + row).to(tl.float32)
        h = tl.exp(dt_t[:, None] * a) * h + (dt_t * x_t)[:, None] * B_t[None, :]
        y_t = tl.sum(h * C_t[None, :], 1) + skip * x_t
        tl.store(y + row * D + d, y_t.to(y.dtype.element_ty), mask=d < D)
