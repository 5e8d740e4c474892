"""Int8 weights with one float32 scale for each output channel (arXiv 2408.12570, section 3.1).

weight[r, k] is close to scale[r] * int8[r, k]; scale[r] is a 127th of the largest magnitude in row
r. Nothing is calibrated: activations stay float32, and a matrix is turned back block by block.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba.config import JambaError, Quantisation
from jamba.network.experts import MLP

BLOCK = 2**20  # weights turned back to float32 at a time: they stay in the cache of a core
# What makes the steps of the scan is small and goes through an exponential; routers choose.
KEPT = ("router", "x_proj", "dt_proj")


def quantise(weight: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Int8 values (R, K) and float32 scales (R,) of a matrix; a row of zeros has the scale zero.

    Raises JambaError with `name` where a weight is infinite or not a number.
    """
    weight = weight.float()
    scale = weight.abs().amax(dim=1) / 127
    if not torch.isfinite(scale).all():
        raise JambaError(f"{name} holds weights that are not finite; the checkpoint is damaged")
    steps = weight / scale.where(scale > 0, 1.0)[:, None]
    return steps.round_().clamp_(-127, 127).to(torch.int8), scale


class Int8Linear(nn.Module):
    """nn.Linear over int8 weights; empty until a checkpoint is loaded."""

    weight: Tensor  # (R, K) int8
    scale: Tensor  # (R,) float32

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty_like(linear.weight, dtype=torch.int8))
        self.register_buffer("scale", _scales(linear.weight))
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        out = int8_product(x, self.weight, self.scale)
        return out if self.bias is None else out.add_(self.bias)


class Int8Embedding(nn.Module):
    """nn.Embedding over int8 weights; the rows of a tied head, too."""

    weight: Tensor  # (V, H) int8
    scale: Tensor  # (V,) float32

    def __init__(self, embedding: nn.Embedding) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty_like(embedding.weight, dtype=torch.int8))
        self.register_buffer("scale", _scales(embedding.weight))
        self.dtype = embedding.weight.dtype

    def forward(self, ids: Tensor) -> Tensor:
        return (self.weight[ids] * self.scale[ids][..., None]).to(self.dtype)


def _scales(weight: Tensor) -> Tensor:
    return torch.empty(len(weight), dtype=torch.float32, device=weight.device)


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x (..., K) times the transpose of an int8 matrix (R, K) with its scales (R,): (..., R)."""
    if x.is_cuda:
        from jamba.kernels import triton_products

        return triton_products.int8_product(x, weight, scale)
    rows = max(1, BLOCK // weight.shape[1])
    return torch.cat([F.linear(x, block.to(x.dtype)) for block in weight.split(rows)], -1) * scale


def product(x: Tensor, table: nn.Embedding | Int8Embedding) -> Tensor:
    """x (..., H) times the transpose of an embedding (V, H): the logits of a tied head."""
    if isinstance(table, Int8Embedding):
        return int8_product(x, table.weight, table.scale)
    return F.linear(x, table.weight)


def prepare(model: nn.Module, quantisation: Quantisation) -> None:
    """Put empty int8 modules in the place of those that `quantisation` names."""
    for parent_name, parent in list(model.named_modules()):
        for name, module in list(parent.named_children()):
            if not _is_chosen(parent_name, parent, name, quantisation):
                continue
            if isinstance(module, nn.Linear):
                setattr(parent, name, Int8Linear(module))
            elif isinstance(module, nn.Embedding):
                setattr(parent, name, Int8Embedding(module))


def _is_chosen(parent_name: str, parent: nn.Module, name: str, quantisation: Quantisation) -> bool:
    if quantisation is Quantisation.EXPERTS:
        return isinstance(parent, MLP) and ".experts." in parent_name
    if quantisation is Quantisation.MLPS:
        return isinstance(parent, MLP)
    return quantisation is Quantisation.ALL and name not in KEPT
