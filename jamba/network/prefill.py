"""What stands between the matrix products of a prompt: on a CPU and without gradients, numba's.

Each function is a few torch operations in one pass over memory that is still in a core's cache.
`fits` says whether they may be taken; the torch operations are in jamba/network/model.py.
"""

import numpy as np
import torch
from torch import Tensor, nn


def fits(x: Tensor, reset: Tensor | None = None) -> bool:
    """Whether the kernels can be taken after x: float32 on a CPU, no gradient, one document."""
    plain = x.dtype is torch.float32 and x.device.type == "cpu" and reset is None
    return plain and not torch.is_grad_enabled()


def conv_silu(projected: Tensor, window: Tensor, conv: nn.Conv1d) -> Tensor:
    """silu(convolution) (B, T, D) of the first half of `projected` (B, T, 2D) after `window`."""
    from jamba.kernels import prefill

    weight = conv.weight[:, 0].T.contiguous()  # (W, D)
    bias = weight.new_empty(0) if conv.bias is None else conv.bias
    out = projected.new_empty(*projected.shape[:2], weight.shape[1])
    prefill.conv_silu(*_arrays(projected, window.contiguous(), weight, bias, out))
    return out


def gated_scan(
    x: Tensor,  # (B, T, D), overwritten by what is returned
    projected: Tensor,  # (B, T, 2D), the gate in its second half
    dt: Tensor,  # (B, T, D) before its softplus
    A_log: Tensor,  # (D, N)
    parts: Tensor,  # (B, T, R + 2N), B and C at its end
    D: Tensor,  # (D,)
    state: Tensor,  # (B, D, N), never changed
) -> tuple[Tensor, Tensor]:
    """The scan times silu(gate) (B, T, D), and the state after the last token (B, D, N)."""
    from jamba.kernels import prefill

    final = state.clone(memory_format=torch.contiguous_format)
    prefill.gated_scan(*_arrays(x, projected, dt, A_log, parts, D, final))
    return x, final


def norm_parts(parts: Tensor, dt: nn.RMSNorm, b: nn.RMSNorm, c: nn.RMSNorm) -> None:
    """The norms of dt, B and C side by side in `parts` (B, T, R + 2N), in place."""
    from jamba.kernels import prefill

    array, *weights = _arrays(parts, dt.weight, b.weight, c.weight)
    prefill.norm_parts(array, dt.weight.numel(), *weights, np.float32(dt.eps))


def gate(opened: Tensor, carried: Tensor) -> Tensor:
    """silu(opened) * carried (..., K), written over `opened`."""
    from jamba.kernels import prefill

    prefill.gate(*_arrays(opened.flatten(0, -2), carried.flatten(0, -2)))
    return opened


def _arrays(*tensors: Tensor) -> list[object]:
    return [tensor.detach().numpy() for tensor in tensors]
