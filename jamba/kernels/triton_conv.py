"""The causal convolution of a prompt on a GPU, with its SiLU: inputs are read once for all taps."""

import torch
import triton
import triton.language as tl
from torch import Tensor

STEPS, CHANNELS = 32, 64  # of a program


def conv_silu(x: Tensor, window: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """silu(convolution over time) of x (B, T, D), which may be a view, after `window`.

    window: (B, W - 1, D), the inputs before; weight: (D, W); gives (B, T, D), contiguous.
    """
    batch, steps, width = x.shape
    if x.stride(2) != 1:
        x = x.contiguous()
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    grid = (triton.cdiv(width, CHANNELS), triton.cdiv(steps, STEPS), batch)
    _conv_silu[grid](
        x, window.contiguous(), weight.contiguous(), weight if bias is None else bias, out,
        steps, width, x.stride(0), x.stride(1),
        TAPS=weight.shape[1], STEPS=STEPS, CHANNELS=CHANNELS, HAS_BIAS=bias is not None,
    )  # fmt: skip
    return out


@triton.jit
def _conv_silu(  # type: ignore[no-untyped-def]
    x, window, weight, bias, out, T, D, stride_b, stride_t,
    TAPS: tl.constexpr, STEPS: tl.constexpr, CHANNELS: tl.constexpr, HAS_BIAS: tl.constexpr,
):  # fmt: skip
    d = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    t = tl.program_id(1) * STEPS + tl.arange(0, STEPS)
    b = tl.program_id(2).to(tl.int64)
    on_d, on = (d < D)[None, :], (t < T)[:, None] & (d < D)[None, :]
    total = tl.zeros((STEPS, CHANNELS), tl.float32)
    if HAS_BIAS:
        total += tl.load(bias + d, mask=d < D, other=0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        at = t + tap - (TAPS - 1)  # the step that this tap reads; negative: in the window
        new = x + b * stride_b + at[:, None].to(tl.int64) * stride_t + d[None, :]
        value = tl.load(new, mask=on & (at >= 0)[:, None], other=0.0).to(tl.float32)
        old = window + (b * (TAPS - 1) + at[:, None] + TAPS - 1) * D + d[None, :]
        value += tl.load(old, mask=on_d & (at < 0)[:, None], other=0.0).to(tl.float32)
        w = tl.load(weight + d * TAPS + tap, mask=d < D, other=0.0).to(tl.float32)
        total += value * w[None, :]
    total = total / (1.0 + tl.exp(-total))
    place = out + (b * T + t[:, None]) * D + d[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=on)
