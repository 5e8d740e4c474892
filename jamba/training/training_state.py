"""How a training is set up and where it stands, kept in one file that it can go on from."""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from jamba.config import JambaError
from jamba.network.model import Jamba


class Method(StrEnum):
    """What updates the matrices of the layers; everything else is AdamW's."""

    ADAMW = "adamw"
    MUON = "muon"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to train. The run ends at `steps` or after `minutes`, whichever comes first."""

    rows: int = 2  # a step
    row_tokens: int = 1024
    steps: int | None = None
    minutes: float | None = None
    method: Method = Method.ADAMW
    learning_rate: float = 2e-3
    warmup: float = 0.04  # of the run
    weight_decay: float = 0.1
    clip: float = 1.0
    balance: float = 0.01  # weight of the load-balancing loss
    save_every: int = 50  # steps; also how often the held-out rows are read
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise JambaError("a training needs an end: give steps, minutes or both")
        for name in ("rows", "row_tokens", "steps", "minutes", "learning_rate", "save_every"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise JambaError(f"{name} = {value} must be more than zero")
        if self.method not in list(Method):
            raise JambaError(f"method = {self.method!r}; there are {', '.join(Method)}")


@dataclass(frozen=True, slots=True)
class Point:
    """Where a run stood after a step; losses in nats a token, the held-out ones where read."""

    step: int
    tokens: int
    seconds: float
    loss: float
    balance: float
    held_out: float | None = None
    held_out_answers: float | None = None


def save_state(
    path: Path,
    model: Jamba,
    optimizers: Sequence[torch.optim.Optimizer],
    settings: Settings,
    history: Sequence[Point],
) -> None:
    """Write weights, moments and history as one safetensors file, complete or not at all."""
    tensors = {}
    for name, parameter in model.named_parameters():
        tensors[f"weight.{name}"] = parameter.detach()
        for optimizer in optimizers:
            for moment, value in optimizer.state.get(parameter, {}).items():
                tensors[f"{moment}.{name}"] = value
    points = [asdict(point) for point in history]
    described = {"settings": json.dumps(asdict(settings)), "history": json.dumps(points)}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    save_file(tensors, partial, metadata=described)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def load_state(
    path: Path,
    model: Jamba,
    optimizers: Sequence[torch.optim.Optimizer],
    settings: Settings,
) -> list[Point]:
    """Put a saved state into model and optimizers; the history up to it.

    Raises JambaError where it is damaged, or was made with another model or other settings; only
    how long to train may differ.
    """
    try:
        with safe_open(path, framework="pt") as file:
            described = file.metadata() or {}
            _same_settings(path, json.loads(described["settings"]), settings)
            moments = [key for key in file.keys() if not key.startswith("weight.")]  # noqa: SIM118
            parameters = dict(model.named_parameters())
            for name, parameter in parameters.items():
                with torch.no_grad():
                    parameter.copy_(file.get_tensor(f"weight.{name}"))
            for key in moments:
                moment, name = key.split(".", 1)
                owner = _owner(parameters[name], optimizers)
                value = file.get_tensor(key).to(parameters[name].device)
                owner.state[parameters[name]][moment] = value
            return [Point(**point) for point in json.loads(described["history"])]
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise JambaError(f"{path}: cannot go on from this training state ({error})") from error


def _owner(parameter: Tensor, optimizers: Sequence[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """The optimizer that updates `parameter`."""
    for optimizer in optimizers:
        if any(one is parameter for group in optimizer.param_groups for one in group["params"]):
            return optimizer
    raise KeyError("a parameter that nothing updates")


def _same_settings(path: Path, saved: dict[str, Any], settings: Settings) -> None:
    free = {"steps", "minutes", "save_every"}
    for field in fields(settings):
        name, ours = field.name, getattr(settings, field.name)
        if name not in free and saved.get(name) != ours:
            raise JambaError(
                f"{path}: was trained with {name} = {saved.get(name)}, now {ours}; "
                "train into another folder, or delete this file to begin again"
            )
