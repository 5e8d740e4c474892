"""The feed-forward half of a layer: one gated MLP, or a few of many chosen for each token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba.config import JambaConfig


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x)); the dense feed-forward, and each expert."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class MixtureOfExperts(nn.Module):
    """The top experts of a softmax over all of them, their weights not renormalised."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.top_k = config.num_experts_per_tok
        self.router = nn.Linear(config.hidden_size, config.num_experts, bias=False)
        self.experts = nn.ModuleList(MLP(config) for _ in range(config.num_experts))

    def route(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Weights and indices (tokens, top_k) of the experts chosen for each of (tokens, H)."""
        probabilities = torch.softmax(self.router(tokens), dim=-1, dtype=torch.float32)
        weights, chosen = torch.topk(probabilities, self.top_k, dim=-1)
        return weights.to(tokens.dtype), chosen

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])  # (B * T, H)
        weights, chosen = self.route(tokens)
        mixed = torch.zeros_like(tokens)
        for index, expert in enumerate(self.experts):
            rows, rank = torch.where(chosen == index)  # each expert runs once, on its own tokens
            if len(rows):
                mixed = mixed.index_add(0, rows, expert(tokens[rows]) * weights[rows, rank, None])
        return mixed.view_as(x)
