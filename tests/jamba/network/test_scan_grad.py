"""The numba backward scan against autograd through a plain loop, in double precision."""

import pytest
import torch
import torch.nn.functional as F

from jamba.network.scan import selective_scan, selective_scan_reference

NAMES = ("x", "dt", "A", "B", "C", "D", "state")


def inputs(batch: int, steps: int, width: int, N: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return [
        normal(batch, steps, width),
        F.softplus(normal(batch, steps, width) - 2),
        -torch.exp(normal(width, N) / 2),
        normal(batch, steps, N),
        normal(batch, steps, N),
        normal(width),
        normal(batch, width, N),
    ]


def borders(batch: int, steps: int) -> torch.Tensor:
    reset = torch.zeros(batch, steps, dtype=torch.bool)
    reset[:, 0] = True
    reset[0, steps // 2] = True
    reset[-1, steps - 1] = True
    return reset


def gradients(scan, tensors, reset, y_weight, final_weight):
    """(gradient of a fixed weighting of both outputs) for each of the scan's seven inputs."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    y, final = scan(*leaves, reset)
    return torch.autograd.grad((y * y_weight).sum() + (final * final_weight).sum(), leaves)


# Lengths around the chunk of 16 and widths around the block of 64 channels.
@pytest.mark.parametrize(
    ("batch", "steps", "width", "N"),
    [(1, 1, 1, 1), (2, 15, 7, 4), (1, 16, 64, 16), (2, 17, 65, 16), (3, 50, 130, 3)],
)
@pytest.mark.parametrize("with_reset", [False, True])
def test_gradient_equals_autograd_in_double_precision(batch, steps, width, N, with_reset):
    tensors = inputs(batch, steps, width, N)
    reset = borders(batch, steps) if with_reset else None
    y_weight, final_weight = torch.randn(batch, steps, width), torch.randn(batch, width, N)
    ours = gradients(selective_scan, tensors, reset, y_weight, final_weight)
    theirs = gradients(
        selective_scan_reference,
        [tensor.double() for tensor in tensors],
        reset,
        y_weight.double(),
        final_weight.double(),
    )
    for name, mine, exact in zip(NAMES, ours, theirs, strict=True):
        scale = exact.abs().max().clamp(min=1e-3)
        assert ((mine - exact).abs().max() / scale) < 2e-5, name


def test_no_gradient_crosses_a_document_border():
    tensors = [tensor.requires_grad_() for tensor in inputs(1, 20, 8, 4)]
    reset = torch.zeros(1, 20, dtype=torch.bool)
    reset[0, 12] = True
    y, _ = selective_scan(*tensors, reset)
    x_grad, state_grad = torch.autograd.grad(y[:, 12:].sum(), [tensors[0], tensors[6]])
    assert x_grad[:, :12].abs().max() == 0
    assert x_grad[:, 12:].abs().min() > 0
    assert state_grad.abs().max() == 0


def test_outputs_are_the_same_with_and_without_gradients():
    tensors = inputs(2, 33, 24, 16)
    y, final = selective_scan(*tensors)
    y_train, final_train = selective_scan(*[tensor.requires_grad_() for tensor in tensors])
    assert torch.equal(y, y_train.detach())
    assert torch.equal(final, final_train.detach())
