"""What a machine allows at best: operations over the rate of its products, bytes over bandwidth."""

import time
from dataclasses import dataclass

import numpy as np
from numba import prange

from jamba.kernels.cpu import compiled
from jamba.network.experts import MixtureOfExperts
from jamba.network.model import Jamba
from jamba.training.train import active_parameters, gemm_rate

BLOCKS, BLOCK = 4096, 16384  # 256 MiB: no cache holds it


@dataclass(frozen=True, slots=True)
class Machine:
    """Measured rates, with the threads that everything else here uses."""

    flops: float  # of float32 matrix products
    bandwidth: float  # bytes a second, read in order by all cores


def measure(seconds: float = 1.0) -> Machine:
    """Measure both as the machine is now."""
    return Machine(gemm_rate(seconds), bandwidth(seconds))


def bandwidth(seconds: float) -> float:
    """Bytes a second that all cores read, the best of the passes within the time."""
    values, sums = np.ones((BLOCKS, BLOCK), np.float32), np.empty(BLOCKS, np.float32)
    _read(values, sums)  # compiles
    end, best = time.perf_counter() + seconds, np.inf
    while time.perf_counter() < end:
        began = time.perf_counter()
        _read(values, sums)
        best = min(best, time.perf_counter() - began)
    return values.nbytes / float(best)


@compiled
def _read(values, sums):  # type: ignore[no-untyped-def]
    for block in prange(len(values)):
        sums[block] = values[block].sum()


def token_flops(model: Jamba) -> float:
    """Operations in the matrix products of a prompt's token; the head runs for the last alone."""
    head = model.config.vocab_size * model.config.hidden_size
    return 2.0 * (active_parameters(model) - head)


def token_bytes(model: Jamba) -> int:
    """Bytes of weights that one token reads: its experts only, the head, no embedding."""
    config = model.config
    total: int = sum(tensor.nbytes for tensor in model.state_dict().values())
    if not config.tie_word_embeddings:
        total -= sum(tensor.nbytes for tensor in model.model.embed_tokens.state_dict().values())
    idle = 1 - config.num_experts_per_tok / config.num_experts
    for block in (m for m in model.modules() if isinstance(m, MixtureOfExperts)):
        experts = sum(tensor.nbytes for tensor in block.experts.state_dict().values())
        total -= round(idle * experts)
    return total
