"""The selective scan of Mamba (arXiv 2312.00752, section 3.2), the recurrence


h[t] = exp(dt[t] * A) * h[t-1] + dt[t] * x[t] * B[t]
y[t] = C[t] . h[t] + D * x[t]
"""

import torch
from torch import Tensor


def selective_scan(
    x: Tensor,  # (B, T, D) float32
    dt: Tensor,  # (B, T, D), softplus already taken
    A: Tensor,  # (D, N), negative
    B: Tensor,  # (B, T, N)
    C: Tensor,  # (B, T, N)
    D: Tensor,  # (D,)
    state: Tensor,  # (B, D, N), the state before the first token; never changed
    reset: Tensor | None = None,  # (B, T) bool: the state is zeroed before these tokens
) -> tuple[Tensor, Tensor]:
    """Run the scan; returns y (B, T, D) and the state after the last token (B, D, N).

    Gradients flow through jamba.network.scan_grad where any input asks for them.
    """
    inputs = (x, dt, A, B, C, D, state)
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        from jamba.network.scan_grad import SelectiveScan

        y, final = SelectiveScan.apply(_scan, *inputs, reset)
        return y, final
    return _scan(*inputs, reset)


def _scan(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    state: Tensor,
    reset: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """The scan where no gradient is asked for."""
    if x.is_cuda:
        from jamba.kernels import mamba_ssm

        return mamba_ssm.fastest(x, A.shape[1])(x, dt, A, B, C, D, state, reset)
    from jamba.kernels import cpu

    def array(tensor: Tensor) -> object:
        return tensor.detach().contiguous().numpy()

    final = state.detach().clone(memory_format=torch.contiguous_format)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    resets = torch.zeros(x.shape[:2], dtype=torch.bool) if reset is None else reset
    cpu.scan_forward(
        array(x), array(dt), array(A * float(cpu.LOG2_E)), array(B), array(C), array(D),
        array(resets), final.numpy(), y.numpy(),
    )  # fmt: skip
    return y, final


def selective_scan_reference(
    x: Tensor,
    dt: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    state: Tensor,
    reset: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The same scan, one torch operation after another: slow, differentiable, in any dtype."""
    outputs = []
    for t in range(x.shape[1]):
        if reset is not None:
            state = state.masked_fill(reset[:, t, None, None], 0.0)
        decay = torch.exp(dt[:, t, :, None] * A)  # (B, D, N)
        state = decay * state + (dt[:, t] * x[:, t])[..., None] * B[:, t, None, :]
        outputs.append((state * C[:, t, None, :]).sum(-1) + D * x[:, t])
    return torch.stack(outputs, dim=1), state
