"""The feed-forward half of a layer: one gated MLP, or a few of many chosen for each token."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba.config import JambaConfig
from jamba.network import prefill


@dataclass(frozen=True, slots=True)
class Stack:
    """One matrix of each expert, side by side in memory, as a product by expert reads them."""

    weight: Tensor  # (E, R, K), float or int8
    scale: Tensor | None  # (E, R) where the weights are int8


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x)); the dense feed-forward, and each expert."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        opened, carried = self.gate_proj(x), self.up_proj(x)
        fits = prefill.fits(opened)
        return self.down_proj(prefill.gate(opened, carried) if fits else F.silu(opened) * carried)


class MixtureOfExperts(nn.Module):
    """The top experts of a softmax over all of them, their weights not renormalised."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.router = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(MLP(config) for _ in range(config.num_experts))
        self.stacks: tuple[Stack, Stack, Stack] | None = None  # gate, up and down

    def stack(self) -> None:
        """Lay matrices of experts side by side; afterwards theirs are views of the whole."""
        names = ("gate_proj", "up_proj", "down_proj")
        gate, up, down = (_stacked([getattr(e, name) for e in self.experts]) for name in names)
        self.stacks = (gate, up, down)

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and indices (tokens, top_k) of the experts chosen for each of (tokens, H)."""
        probabilities = torch.softmax(self.router(tokens), dim=-1, dtype=torch.float32)
        weights, chosen = torch.topk(probabilities, self.top_k, dim=-1)
        return weights.to(tokens.dtype), chosen

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])  # (B * T, H)
        weights, chosen = self.route(tokens)
        if self.stacks is not None and not torch.is_grad_enabled():
            return _mix_stacked(tokens, weights, chosen, self.stacks).view_as(x)
        mixed = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            rows, rank = torch.where(chosen == index)  # each expert runs once, on its own tokens
            if len(rows):
                made = expert(tokens[rows]) * weights[rows, rank, None]
                mixed = mixed.index_add(0, rows, made.to(mixed.dtype))  # autocast computes in less
        return mixed.view_as(x)


def _mix_stacked(
    tokens: Tensor, weights: Tensor, chosen: Tensor, stacks: tuple[Stack, Stack, Stack]
) -> Tensor:
    """All experts at once; nothing waits to know which were chosen, so a graph can record it."""
    from jamba.kernels.triton_products import arrange, expert_product

    gate, up, down = stacks
    pairs = chosen.numel()
    where = arrange(chosen, len(gate.weight))
    opened = expert_product(tokens, gate.weight, gate.scale, where, pairs)
    carried = expert_product(tokens, up.weight, up.scale, where, pairs)
    made = expert_product(F.silu(opened) * carried, down.weight, down.scale, where, pairs)
    return (made.view(*chosen.shape, -1) * weights[..., None]).sum(1)  # (tokens, H)


def _stacked(modules: list[nn.Module]) -> Stack:
    weight = torch.stack([module.weight for module in modules])
    scales = [module.scale for module in modules if hasattr(module, "scale")]
    for module, view in zip(modules, weight, strict=True):
        is_parameter = isinstance(module.weight, nn.Parameter)
        module.weight = nn.Parameter(view, requires_grad=False) if is_parameter else view
    return Stack(weight, torch.stack(scales) if scales else None)
