"""The scan of the package mamba-ssm, where it is installed and quicker than ours.

It begins at a zero state. The scan is linear in its state, so what an earlier one adds to every
output can be added afterwards, exactly.
"""

import time
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from jamba.kernels import triton_scan

STEPS = 2048  # of the trial
RUNS = 3
Scan = Callable[
    [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]
]


def fastest(x: Tensor, states: int) -> Scan:
    """The quicker scan for inputs like x (B, T, D), tried once for each width and type."""
    if find_spec("mamba_ssm") is None:
        return triton_scan.scan
    return _tried(x.device, x.dtype, x.shape[2], states)


@cache
def _tried(device: torch.device, dtype: torch.dtype, width: int, states: int) -> Scan:
    x = torch.rand(1, STEPS, width, dtype=dtype, device=device)
    A = -torch.rand(width, states, device=device)
    B = torch.rand(1, STEPS, states, dtype=dtype, device=device)
    inputs = (x, x.float(), A, B, B, A[:, 0], torch.rand(1, width, states, device=device), None)

    def seconds(scan: Scan) -> float:
        scan(*inputs)  # compiles
        torch.cuda.synchronize(device)
        began = time.perf_counter()
        for _ in range(RUNS):
            scan(*inputs)
        torch.cuda.synchronize(device)
        return time.perf_counter() - began

    try:
        return min((triton_scan.scan, scan), key=seconds)
    except (ImportError, AttributeError):  # a package built without this scan, or for another torch
        return triton_scan.scan


def scan(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor,
    reset: Tensor | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """As `jamba.network.scan.selective_scan`; it knows no documents within a row."""
    if reset is not None:
        return triton_scan.scan(x, dt, A, B, C, D, state, reset)
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    over_time = (each.to(x.dtype).transpose(1, 2).contiguous() for each in (x, dt))
    matrices = (each.to(x.dtype).transpose(1, 2).contiguous() for each in (B, C))
    y, final = selective_scan_fn(*over_time, A, *matrices, D.float(), return_last_state=True)
    return resumed(y.transpose(1, 2), final.float(), dt, A, C, state)


def resumed(
    y: Tensor, final: Tensor, dt: Tensor, A: Tensor, C: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """What a scan from zero gave, as if it had begun at `state`; shapes as in the scan."""
    total = dt.float().cumsum(1)  # (B, T, D): how long the state has decayed
    added = torch.zeros_like(total)
    for n in range(A.shape[1]):  # one after another, or (B, T, D, N) would be in memory
        added += torch.exp(total * A[:, n]) * state[:, None, :, n] * C[:, :, n, None]
    left = torch.exp(total[:, -1, :, None] * A) * state
    return y + added.to(y.dtype), final + left
