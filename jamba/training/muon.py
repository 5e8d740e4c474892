"""Muon (arXiv 2502.16982): momentum, made orthogonal, for the matrices of hidden layers.

`torch.optim.Muon` does the same in bfloat16 only, which a CPU without such products cannot use.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic iteration; steepest at zero
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Updates have the root mean square that AdamW's have, so that both share one learning rate."""

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(
            list(matrices), {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Update every matrix (rows, columns) that has a gradient; `closure` is not used."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    self._update(matrix, group)

    def _update(self, matrix: Tensor, group: dict[str, Any]) -> None:
        state = self.state[matrix]
        if not state:
            state["momentum"] = torch.zeros_like(matrix)
        average = state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
        ahead = matrix.grad.lerp(average, group["momentum"])  # Nesterov's look ahead
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        scale = 0.2 * max(matrix.shape) ** 0.5  # section 2.2: matches the size of AdamW's updates
        matrix.add_(orthogonal(ahead), alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor) -> Tensor:
    """(rows, columns) with singular values near 1 and the singular vectors of `matrix`."""
    a, b, c = COEFFICIENTS
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / wide.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if matrix.shape[0] > matrix.shape[1] else x
