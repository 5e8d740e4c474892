"""One token of each of B sequences on a GPU. States are found by their addresses.

Sequences come and go while a recorded graph of kernels stays as it is, so kernels read from a
table where the window, the state, the keys and the values of each sequence lie. Memory of tensors
begins at multiples of 16 bytes, which lets kernels read several values at once.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

CHANNELS = 64
SPLITS = 16  # of the positions before a token, attended to side by side
POSITIONS = 64
LEAST = 16  # rows and columns of what the matrix units multiply


def conv_step(x: Tensor, windows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Causal convolution and SiLU of x (B, D), which may be a view; windows move on by it.

    windows: (B,) addresses of (W - 1, D) in the type of x; weight: (D, W).
    """
    batch, width = x.shape
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    _conv_step[(triton.cdiv(width, CHANNELS), batch)](
        x, windows, weight, weight if bias is None else bias, out, width, x.stride(0),
        TAPS=weight.shape[1], CHANNELS=CHANNELS, HAS_BIAS=bias is not None, num_warps=1,
    )  # fmt: skip
    return out


@triton.jit
def _conv_step(  # type: ignore[no-untyped-def]
    x, windows, weight, bias, out, D, stride_b,
    TAPS: tl.constexpr, CHANNELS: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    b = tl.program_id(1).to(tl.int64)
    window = tl.multiple_of(tl.load(windows + b).to(tl.pointer_type(x.dtype.element_ty)), 16)
    new = tl.load(x + b * stride_b + d, mask=d < D, other=0.0)
    w = tl.load(weight + d * TAPS + TAPS - 1, mask=d < D, other=0.0)
    total = new.to(tl.float32) * w.to(tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + d, mask=d < D, other=0.0).to(tl.float32)
    for tap in tl.static_range(TAPS - 1):
        old = tl.load(window + tap * D + d, mask=d < D, other=0.0)
        w = tl.load(weight + d * TAPS + tap, mask=d < D, other=0.0)
        total += old.to(tl.float32) * w.to(tl.float32)
        if tap > 0:  # each place is read, by the thread that then writes it, before it is written
            tl.store(window + (tap - 1) * D + d, old, mask=d < D)
    if TAPS > 1:
        tl.store(window + (TAPS - 2) * D + d, new, mask=d < D)
    total = total / (1.0 + tl.exp(-total))
    tl.store(out + b * D + d, total.to(out.dtype.element_ty), mask=d < D)


def scan_step(
    x: Tensor, gate: Tensor, dt: Tensor, A_log: Tensor, B: Tensor, C: Tensor, D: Tensor,
    states: Tensor,
) -> Tensor:  # fmt: skip
    """A step of the scan, gated; the states move on.

    x, gate, dt: (B, D), dt before its softplus; A_log: (D, N); B, C: (B, N); D: (D,); states: (B,)
    addresses of (D, N) float32.
    """
    batch, width = x.shape
    B, C = B.contiguous(), C.contiguous()
    out = torch.empty_like(x)
    _scan_step[(triton.cdiv(width, CHANNELS), batch)](
        x, gate, dt, A_log, B, C, D, states, out, width, A_log.shape[1], gate.stride(0),
        CHANNELS=CHANNELS, STATES=triton.next_power_of_2(A_log.shape[1]), num_warps=2,
    )  # fmt: skip
    return out


@triton.jit
def _scan_step(  # type: ignore[no-untyped-def]
    x, gate, dt, A_log, B, C, D_skip, states, out, D, N, gate_stride,
    CHANNELS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    n = tl.arange(0, STATES)
    b = tl.program_id(1).to(tl.int64)
    on_d, on_n = d < D, n < N
    matrix = d[:, None] * N + n[None, :]
    on = on_d[:, None] & on_n[None, :]
    state = tl.multiple_of(tl.load(states + b).to(tl.pointer_type(tl.float32)), 16) + matrix
    value = tl.load(x + b * D + d, mask=on_d, other=0.0).to(tl.float32)
    raw = tl.load(dt + b * D + d, mask=on_d, other=0.0).to(tl.float32)
    step = tl.where(raw > 20.0, raw, tl.log(1.0 + tl.exp(tl.minimum(raw, 20.0))))  # softplus
    a = -tl.exp(tl.load(A_log + matrix, mask=on, other=0.0))
    B_b = tl.load(B + b * N + n, mask=on_n, other=0.0).to(tl.float32)
    C_b = tl.load(C + b * N + n, mask=on_n, other=0.0).to(tl.float32)
    h = tl.load(state, mask=on, other=0.0)
    h = tl.exp(step[:, None] * a) * h + (step * value)[:, None] * B_b[None, :]
    tl.store(state, h, mask=on)
    y = tl.sum(h * C_b[None, :], 1)
    y += tl.load(D_skip + d, mask=on_d, other=0.0).to(tl.float32) * value
    opened = tl.load(gate + b * gate_stride + d, mask=on_d, other=0.0).to(tl.float32)
    y *= opened / (1.0 + tl.exp(-opened))
    tl.store(out + b * D + d, y.to(out.dtype.element_ty), mask=on_d)


def attend(
    q: Tensor, k: Tensor, v: Tensor, keys: Tensor, values: Tensor, capacity: Tensor, seen: Tensor
) -> Tensor:
    """Add k, v (B, KV heads, size) to the caches, then attend from q (B, heads, size) to them.

    keys, values: (B,) addresses of (KV heads, capacity, size) in the type of k; capacity: (B,);
    seen: (B,) positions filled before this token. Gives (B, heads, size).
    """
    batch, heads, size = q.shape
    kv = k.shape[1]
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    width = max(LEAST, triton.next_power_of_2(size))
    group = max(LEAST, triton.next_power_of_2(heads // kv))
    _append[(kv, batch)](k, v, keys, values, capacity, seen, kv, size, WIDTH=width)
    mixed = torch.empty(batch, heads, SPLITS, size, dtype=torch.float32, device=q.device)
    sums = torch.empty(batch, heads, SPLITS, 2, dtype=torch.float32, device=q.device)
    _attend[(SPLITS, kv, batch)](
        q, keys, values, capacity, seen, mixed, sums, size, size**-0.5, heads // kv, kv,
        GROUP=group, WIDTH=width, POSITIONS=POSITIONS, SPLITS=SPLITS,
        PRECISION="ieee" if q.dtype == torch.float32 else "tf32",
    )  # fmt: skip
    highest = sums[..., 0].amax(-1, keepdim=True)  # (B, heads, 1)
    weight = torch.exp(sums[..., 0] - highest)  # zero for a split without positions
    total = (weight * sums[..., 1]).sum(-1, keepdim=True)
    return ((weight[..., None] * mixed).sum(2) / total).to(q.dtype)


@triton.jit
def _append(k, v, keys, values, capacity, seen, KV, size, WIDTH: tl.constexpr):  # type: ignore[no-untyped-def]
    head, b = tl.program_id(0), tl.program_id(1).to(tl.int64)
    c = tl.arange(0, WIDTH)
    at = (head * tl.load(capacity + b) + tl.load(seen + b)) * size + c
    new = (b * KV + head) * size + c
    kind = tl.pointer_type(k.dtype.element_ty)
    tl.store(tl.load(keys + b).to(kind) + at, tl.load(k + new, mask=c < size), mask=c < size)
    tl.store(tl.load(values + b).to(kind) + at, tl.load(v + new, mask=c < size), mask=c < size)


@triton.jit
def _attend(  # type: ignore[no-untyped-def]
    q, keys, values, capacity, seen, mixed, sums, size, scale, heads_each, KV,
    GROUP: tl.constexpr, WIDTH: tl.constexpr, POSITIONS: tl.constexpr, SPLITS: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """The heads that share one head of keys, over one split of the positions."""
    split, kv_head, b = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)
    c, g = tl.arange(0, WIDTH), tl.arange(0, GROUP)
    on_c, on_g = c < size, g < heads_each
    head = (b * KV + kv_head) * heads_each + g  # over all sequences
    ask = tl.load(
        q + head[:, None] * size + c[None, :], mask=on_g[:, None] & on_c[None, :], other=0.0
    )
    kind = tl.pointer_type(q.dtype.element_ty)
    offset = kv_head * tl.load(capacity + b) * size
    key = tl.multiple_of(tl.load(keys + b).to(kind), 16) + offset
    value = tl.multiple_of(tl.load(values + b).to(kind), 16) + offset
    total = tl.load(seen + b) + 1
    span = (total + SPLITS - 1) // SPLITS
    highest = tl.full((GROUP,), -1e30, tl.float32)
    weight = tl.zeros((GROUP,), tl.float32)
    sum_ = tl.zeros((GROUP, WIDTH), tl.float32)
    end = tl.minimum(split * span + span, total)
    for first in range(split * span, end, POSITIONS):
        s = first + tl.arange(0, POSITIONS)
        place = s[:, None] * size + c[None, :]
        on = (s < end)[:, None] & on_c[None, :]
        k = tl.load(key + place, mask=on, other=0.0)
        scores = tl.dot(ask, tl.trans(k), input_precision=PRECISION) * scale
        scores = tl.where((s < end)[None, :], scores, -1e30)
        raised = tl.maximum(highest, tl.max(scores, 1))
        share = tl.exp(scores - raised[:, None])
        fade = tl.exp(highest - raised)
        v = tl.load(value + place, mask=on, other=0.0)
        sum_ = sum_ * fade[:, None] + tl.dot(share.to(v.dtype), v, input_precision=PRECISION)
        weight = weight * fade + tl.sum(share, 1)
        highest = raised
    at = head * SPLITS + split
    place = mixed + at[:, None] * size + c[None, :]
    tl.store(place, sum_, mask=on_g[:, None] & on_c[None, :])
    tl.store(sums + at * 2, highest, mask=on_g)
    tl.store(sums + at * 2 + 1, weight, mask=on_g)
