"""Weights to train from scratch."""

import math

import torch

from jamba.network.model import Jamba


def initialise(model: Jamba, seed: int) -> None:
    """Fill the weights for training from scratch, the same for the same seed.

    Matrices are normal with the config's range; steps dt start log-uniform in 0.001..0.1 (arXiv
    2312.00752, section 3.6); A and D keep their constructor's values, norms are one.
    """
    generator = torch.Generator().manual_seed(seed)
    spread = model.config.initializer_range
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("dt_proj.bias"):
                low, high = math.log(0.001), math.log(0.1)
                dt = torch.exp(
                    torch.rand(parameter.shape, generator=generator) * (high - low) + low
                )
                parameter.copy_(dt + torch.log(-torch.expm1(-dt)))  # the inverse of softplus
            elif name.endswith("bias"):
                parameter.zero_()
            elif parameter.ndim > 1 and not name.endswith("A_log"):
                parameter.normal_(0.0, spread, generator=generator)


def match_alike(model: Jamba, spread: float) -> None:
    """Start every mixer as one that looks for what is like the token it stands on.

    Keys are the queries and a Mamba layer writes where it reads, so that equal words find each
    other before anything is learned (mimetic initialisation: arXiv 2305.09828 for attention,
    2410.11135 for state spaces). `spread` is the deviation of query and key weights.
    """
    with torch.no_grad():
        for layer in model.model.layers:
            if layer.is_attention:
                mixer = layer.self_attn
                keys = mixer.k_proj.weight  # (kv heads * head size, H)
                keys.mul_(spread / keys.std())
                groups = keys.unflatten(0, (-1, mixer.head_size))  # (kv heads, head size, H)
                shared = mixer.q_proj.weight.shape[0] // keys.shape[0]
                mixer.q_proj.weight.copy_(groups.repeat_interleave(shared, 0).flatten(0, 1))
            else:
                rank, size, _ = layer.mamba.sizes
                weight = layer.mamba.x_proj.weight  # (R + N + N, D)
                weight[rank + size :] = weight[rank : rank + size]
