"""How far our logits are from those of transformers, for one drawn model.

Transformers is an oracle for a whole prompt and for one token at a time. It is none for several
tokens that continue a cache: its scan then starts again from zero.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from jamba.network.decode import Decoder
from jamba.network.model import Jamba
from jamba.network.weights import load_model
from jamba.state import SequenceState
from tests.jamba.random_models import VOCABULARY, draw_fields, make_pair, relative_error

TOLERANCE = 1e-4
GRID = range(28)  # seeds of the drawn models
TOKENS = 24


@dataclass(frozen=True)
class Parity:
    """Relative errors of one model: largest difference over the largest logit."""

    fields: dict[str, Any]
    whole: float  # the prompt in one pass, against theirs
    stepped: float  # one token at a time through the model, against theirs one at a time
    decoded: float  # one token at a time through the kernels for decoding, likewise

    @property
    def worst(self) -> float:
        return max(self.whole, self.stepped, self.decoded)


def measure(seed: int, folder: Path) -> Parity:
    """Draw a model, save it to `folder` as transformers does, and compare."""
    fields = draw_fields(seed)
    theirs = make_pair(fields, seed, folder).theirs
    ours = load_model(folder)
    ids = torch.randint(0, VOCABULARY, (2, TOKENS), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        prompt = theirs(ids, use_cache=False).logits
        whole = relative_error(ours.logits(ids), prompt)
        # Its cache cannot be continued without an attention layer.
        has_attention = any(ours.config.is_attention(i) for i in range(len(ours.model.layers)))
        steps = their_steps(theirs, ids) if has_attention else prompt
        stepped = relative_error(our_steps(ours, ids), steps)
        decoded = relative_error(kernel_steps(ours, ids[0]), steps[0])
    return Parity(fields, whole, stepped, decoded)


def their_steps(theirs: Any, ids: Tensor) -> Tensor:
    """Logits (B, T, V) of transformers, from its cache, one token after another."""
    cache, logits = None, []
    for t in range(ids.shape[1]):
        out = theirs(ids[:, t : t + 1], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        logits.append(out.logits)
    return torch.cat(logits, dim=1)


def our_steps(model: Jamba, ids: Tensor) -> Tensor:
    """The same from our model and its state."""
    state = SequenceState.fresh(model.config, batch=len(ids), capacity=1)
    return torch.cat([model(ids[:, t : t + 1], state) for t in range(ids.shape[1])], dim=1)


def kernel_steps(model: Jamba, ids: Tensor) -> Tensor:
    """Logits (T, V) of the kernels for decoding."""
    state, decoder = SequenceState.fresh(model.config, capacity=1), Decoder(model)
    return torch.cat([torch.from_numpy(decoder.step([int(t)], [state])) for t in ids])
