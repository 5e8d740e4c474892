"""The selective scan as a differentiable operation: numba on the CPU, Triton on a GPU, both ways.

Nothing but the inputs is kept between the two: the backward pass computes the states again, which
costs a quarter of its time and saves the (B, T, D, N) tensor that autograd would keep.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Scan = Callable[..., tuple[Tensor, Tensor]]


class SelectiveScan(torch.autograd.Function):
    """`scan(x, dt, A, B, C, D, state, reset)` with a gradient for all but `reset`."""

    @staticmethod
    def forward(ctx: Any, scan: Scan, *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(*inputs)
        with torch.no_grad():
            return scan(*inputs)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        *floats, reset = ctx.saved_tensors
        inputs = [tensor.detach().contiguous() for tensor in floats]
        if not inputs[0].is_cuda:
            return None, *_backward_cpu(inputs, reset, *grads), None
        from jamba.kernels.triton_scan_grad import scan_backward

        x, dt, A, B, C, D, state = inputs
        found = scan_backward(x, dt, A, B, C, D, state, reset, grads[0], grads[1])
        return None, *(g.to(of.dtype) for g, of in zip(found, inputs, strict=True)), None


def _backward_cpu(
    inputs: Sequence[Tensor], reset: Tensor | None, dy: Tensor, dfinal: Tensor
) -> tuple[Tensor, ...]:
    from jamba.kernels.cpu import CHANNELS, LOG2_E
    from jamba.kernels.cpu_grad import scan_backward

    x, dt, A, B, C, D, state = inputs
    dy = dy.contiguous()
    dstate = dfinal.clone(memory_format=torch.contiguous_format)
    reset = torch.zeros(x.shape[:2], dtype=torch.bool) if reset is None else reset.contiguous()
    dx, ddt = torch.empty_like(x), torch.empty_like(dt)
    dA = A.new_empty(x.shape[0], *A.shape)
    dB, dC = (B.new_empty(-(-x.shape[2] // CHANNELS), *B.shape) for _ in range(2))
    given = (x, dt, A, A * float(LOG2_E), B, C, D, reset, state, dy)
    scan_backward(*(tensor.numpy() for tensor in (*given, dstate, dx, ddt, dA, dB, dC)))
    return dx, ddt, dA.sum(0), dB.sum(0), dC.sum(0), (dy * x).sum((0, 1)), dstate
