"""Muon: orthogonal updates, of one size whatever the gradient's, against torch's own."""

import pytest
import torch

from jamba.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(24, 24), (16, 48), (48, 16)])
def test_singular_values_come_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_singular_vectors_stay():
    matrix = torch.randn(12, 20, generator=torch.Generator().manual_seed(1))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    middle = left.T @ orthogonal(matrix) @ right.T
    torch.testing.assert_close(middle, middle.diagonal().diag(), rtol=0, atol=1e-4)


def test_updates_are_those_of_torch_up_to_its_bfloat16():
    generator = torch.Generator().manual_seed(2)
    start = torch.randn(8, 6, generator=generator)
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    mine = Muon([ours], lr=0.1)
    reference = torch.optim.Muon([theirs], lr=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        ours.grad = torch.randn(8, 6, generator=generator)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()
    torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02)


def test_a_matrix_without_a_gradient_stays_as_it_is():
    still = torch.ones(3, 3, requires_grad=True)
    Muon([still], lr=0.1).step()
    assert torch.equal(still, torch.ones(3, 3))
