"""How much memory a model will take, counted from its config before a weight is read."""

from dataclasses import dataclass
from pathlib import Path

import torch

from jamba.config import JambaConfig, JambaError, Quantisation
from jamba.network.model import Jamba
from jamba.network.quantise import prepare
from jamba.scheduler import Limits
from jamba.state import CPU, FIRST_CAPACITY, Place, state_bytes

CHUNK = Limits().chunk  # tokens of a prompt that are read together, unless said otherwise
GIB = 2**30


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes."""

    weights: int
    state: int  # of one sequence
    chunk: int  # the largest activations alive at once while a chunk of its prompt is read

    @property
    def total(self) -> int:
        return self.weights + self.state + self.chunk


def estimate(
    config: JambaConfig,
    quantisation: Quantisation = Quantisation.NONE,
    tokens: int = FIRST_CAPACITY,
    chunk: int = CHUNK,
    dtype: torch.dtype = torch.float32,
) -> MemoryEstimate:
    """What a model in `dtype` takes with one sequence of `tokens` tokens, read `chunk` at a time.

    Weights and state are counted exactly, the activations of a chunk from above.
    """
    with torch.device("meta"):
        model = Jamba(config).to(dtype)
        prepare(model, quantisation)
    return MemoryEstimate(
        weights=sum(tensor.nbytes for tensor in model.state_dict().values()),
        state=state_bytes(config, tokens, dtype),
        chunk=chunk * _widest(config) * torch.float32.itemsize,
    )


def check_memory(
    folder: Path, config: JambaConfig, quantisation: Quantisation, place: Place = CPU
) -> None:
    """Raise JambaError where a model and one short sequence do not fit into what is free."""
    needed, free = estimate(config, quantisation, dtype=place.dtype).total, _free(place.device)
    if needed <= free:
        return
    advice = "close other programs or choose a smaller model"
    if quantisation is not Quantisation.ALL:
        smallest = estimate(config, Quantisation.ALL, dtype=place.dtype).total / GIB
        advice += f"; with quantisation '{Quantisation.ALL}' it needs {smallest:.1f} GiB"
    raise JambaError(
        f"{folder}: needs {needed / GIB:.1f} GiB of memory and {free / GIB:.1f} GiB are free; "
        + advice
    )


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)


def _widest(config: JambaConfig) -> int:
    """Floats a token has alive at once in the layer that needs most, and in its residual."""
    queries = config.num_attention_heads * config.head_size
    mamba = 10 * config.inner_size + 2 * (config.dt_rank + 2 * config.mamba_d_state)
    attention = 4 * queries + 4 * config.num_key_value_heads * config.head_size
    feed_forward = 4 * config.intermediate_size + 2 * config.hidden_size
    return max(mamba, attention, feed_forward) + 3 * config.hidden_size
