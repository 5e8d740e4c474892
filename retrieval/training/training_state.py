"""How far a training run is: weights and AdamW's moments in one safetensors file, whole or not."""

import os
from pathlib import Path

import torch
from torch import Tensor, nn

from retrieval.storage.durable import rename


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, done: int) -> None:
    """Write what is trained of `model`, and the `optimizer`, as they are after `done` steps."""
    from safetensors.torch import save_file

    trained = {f"model.{n}": p.detach() for n, p in model.named_parameters() if p.requires_grad}
    moments = {
        f"optimizer.{index}.{name}": value
        for index, entry in optimizer.state_dict()["state"].items()
        for name, value in entry.items()
    }
    temporary = path.with_name(f".{path.name}.new")
    save_file({**trained, **moments}, temporary, metadata={"done": str(done)})
    synchronise(temporary)
    rename(temporary, path)


def restore_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Put the saved step's weights and moments in place; the number of steps done, 0 if none."""
    from safetensors import safe_open

    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        done = int(file.metadata()["done"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = {n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")}
    model.load_state_dict(weights, strict=False)
    entries: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            entries.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    return done


def synchronise(path: Path) -> None:
    """Have the disk hold what was written to a file; a folder is passed over."""
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
