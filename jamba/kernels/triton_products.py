"""Matrix products on a GPU that torch has no single call for: by expert, and from int8 weights.

A weight is turned into the type of the inputs where it is used, so nothing but int8 is read and no
matrix is ever whole in another type. Sums are float32.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

FEW = 16  # rows: the least that a GPU's matrix units multiply at once
MANY = 64
COLUMNS, DEPTH = 64, 64


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Pairs of a token and an expert in blocks of `rows`, each block of one expert.

    Its sizes depend on the number of pairs alone, so nothing waits for the GPU to know them.
    """

    slots: Tensor  # (blocks * rows,) which pair; the number of pairs where a block is not full
    owners: Tensor  # (blocks,) which expert; the number of experts where a block is empty
    rows: int


def arrange(chosen: Tensor, experts: int) -> Arrangement:
    """Sort the pairs of `chosen` (tokens, top k) by expert."""
    pairs = chosen.numel()
    rows = FEW if pairs <= FEW * experts else MANY
    blocks = min(pairs, triton.cdiv(pairs, rows) + experts)
    owner, order = torch.sort(chosen.flatten(), stable=True)
    ones = torch.ones_like(owner)
    counts = ones.new_zeros(experts).scatter_add_(0, owner, ones)
    ends = ((counts + rows - 1) // rows * rows).cumsum(0)  # of each expert's blocks, in slots
    starts = ends - (counts + rows - 1) // rows * rows
    rank = ones.cumsum(0) - 1 - (counts.cumsum(0) - counts)[owner]  # within the pair's expert
    slots = order.new_full((blocks * rows,), pairs).scatter_(0, starts[owner] + rank, order)
    firsts = torch.arange(0, blocks * rows, rows, device=chosen.device)
    return Arrangement(slots, torch.searchsorted(ends, firsts, right=True), rows)


def expert_product(
    x: Tensor, weight: Tensor, scale: Tensor | None, where: Arrangement, pairs: int
) -> Tensor:
    """Each pair's row of x times the transpose of its expert's matrix: (pairs, R).

    x: (pairs, K), or (tokens, K) with as many pairs for each; weight: (E, R, K), float or int8
    with its scales (E, R).
    """
    shape = (pairs, pairs // len(x), where.rows, len(where.owners))
    return _launch(x, weight, scale, where.slots, where.owners, shape)


def int8_product(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """x (..., K) times the transpose of an int8 matrix (R, K) with its scales (R,): (..., R)."""
    flat = x.reshape(-1, x.shape[-1])
    rows = FEW if len(flat) <= FEW else MANY
    shape = (len(flat), 1, rows, triton.cdiv(len(flat), rows))
    out = _launch(flat, weight[None], scale[None], None, None, shape)
    return out.view(*x.shape[:-1], len(weight))


def _launch(
    x: Tensor, weight: Tensor, scale: Tensor | None, slots: Tensor | None, owners: Tensor | None,
    shape: tuple[int, int, int, int],
) -> Tensor:  # fmt: skip
    pairs, fanout, rows, blocks = shape
    experts, R, K = weight.shape
    x = x.contiguous()
    out = x.new_empty(pairs, R)
    _product[(triton.cdiv(R, COLUMNS), blocks)](
        x, weight, x if scale is None else scale, x if slots is None else slots,
        x if owners is None else owners, out, pairs, R, K, experts,
        FANOUT=fanout, ROWS=rows, COLUMNS=COLUMNS, DEPTH=DEPTH,
        HAS_SCALE=scale is not None, IS_SORTED=slots is not None,
        PRECISION="ieee" if x.dtype == torch.float32 else "tf32",
    )  # fmt: skip
    return out


@triton.jit
def _product(  # type: ignore[no-untyped-def]
    x, weight, scale, slots, owners, out, pairs, R, K, experts,
    FANOUT: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
    HAS_SCALE: tl.constexpr, IS_SORTED: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(1).to(tl.int64)
    pair = block * ROWS + tl.arange(0, ROWS)
    owner = block * 0
    if IS_SORTED:
        owner = tl.load(owners + block)
        if owner == experts:  # an empty block, and all behind it
            return
        pair = tl.load(slots + pair)
    r = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    k = tl.arange(0, DEPTH)
    is_pair, is_r = pair < pairs, r < R
    rows = x + (pair // FANOUT)[:, None] * K + k[None, :]
    columns = weight + owner * R * K + r[None, :].to(tl.int64) * K + k[:, None]
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for at in range(0, K, DEPTH):
        left = tl.load(rows + at, mask=is_pair[:, None] & (k < K - at)[None, :], other=0.0)
        right = tl.load(columns + at, mask=is_r[None, :] & (k < K - at)[:, None], other=0.0)
        total = tl.dot(left, right.to(left.dtype), total, input_precision=PRECISION)
    if HAS_SCALE:
        total *= tl.load(scale + owner * R + r, mask=is_r, other=0.0)[None, :]
    place = out + pair[:, None] * R + r[None, :]
    tl.store(place, total.to(out.dtype.element_ty), mask=is_pair[:, None] & is_r[None, :])
