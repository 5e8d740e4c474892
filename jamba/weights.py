"""Checkpoints: a Hugging Face folder to a model and back, every tensor accounted for."""

import json
import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from jamba.config import JambaError, load_config
from jamba.model import Jamba

SINGLE = "model.safetensors"
SHARDED = "model.safetensors.index.json"
SHOWN = 5  # tensor names in an error message


def load_model(path: str | Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Jamba:
    """Load a folder with config.json and safetensors, ready to answer (evaluation, no gradients).

    Raises JambaError where the architecture is another one, a tensor is missing, unexpected or
    misshapen, or the device or dtype is one this engine does not run.
    """
    folder = Path(path)
    if torch.device(device).type != "cpu":
        raise JambaError(f"device {device!r} is not supported yet; this engine runs on 'cpu'")
    if dtype != torch.float32:
        raise JambaError(
            f"dtype {dtype} is not offered on a CPU: without special instructions its matrix "
            "products are many times slower than those of float32; use torch.float32"
        )
    config = load_config(folder)
    with torch.device("meta"):
        model = Jamba(config)
    tensors = dict(_read_tensors(folder))
    _drop_tied_head(tensors, config.tie_word_embeddings, folder)
    _check(tensors, model.state_dict(), folder)
    model.load_state_dict(tensors, assign=True)
    model.requires_grad_(False).eval()
    return model


def save_model(model: Jamba, folder: Path) -> None:
    """Write config.json and model.safetensors, each complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    partial = folder / f"{SINGLE}.partial"
    save_file(tensors, partial, metadata={"format": "pt"})
    _publish(partial, folder / SINGLE)
    partial = folder / "config.json.partial"
    partial.write_text(json.dumps(model.config.to_dict(), indent=2) + "\n", encoding="utf-8")
    _publish(partial, folder / "config.json")


def fingerprint(model: Jamba) -> str:
    """A name for exactly these weights and this architecture, the same in every process."""
    digest = sha256(json.dumps(model.config.to_dict(), sort_keys=True).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def _publish(partial: Path, final: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(final)


def _read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the checkpoint, converted to float32 where it is stored otherwise."""
    for shard, names in _shards(folder).items():
        try:
            with safe_open(shard, framework="pt") as file:
                for name in names or file.keys():
                    yield name, file.get_tensor(name).float()
        except FileNotFoundError:
            raise JambaError(f"{shard}: no such file; the checkpoint is incomplete") from None
        except (SafetensorError, OSError) as error:
            raise JambaError(f"{shard}: not readable as safetensors ({error})") from error


def _shards(folder: Path) -> dict[Path, list[str] | None]:
    """Weight files and the tensors to take from each; None takes all."""
    index = folder / SHARDED
    if (folder / SINGLE).exists() or not index.exists():
        return {folder / SINGLE: None}
    try:
        weight_map: dict[str, str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        shards: dict[Path, list[str] | None] = {}
        for name, shard in weight_map.items():
            if Path(shard).name != shard:
                raise ValueError(f"shard {shard!r} is not a plain file name")
            (shards.setdefault(folder / shard, []) or []).append(name)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise JambaError(f"{index}: not a usable index of shards ({error!r})") from error
    return shards


def _drop_tied_head(tensors: dict[str, Tensor], tied: bool, folder: Path) -> None:
    """Some tied checkpoints store the head once more; it must then be the embedding."""
    head = tensors.get("lm_head.weight")
    if not tied or head is None:
        return
    if not torch.equal(head, tensors.get("model.embed_tokens.weight", head[:0])):
        raise JambaError(
            f"{folder}: tie_word_embeddings is true, but lm_head.weight is another matrix"
        )
    del tensors["lm_head.weight"]


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, Any], folder: Path) -> None:
    """Raise one JambaError that names what is missing, unexpected and misshapen."""
    problems = {
        "missing": sorted(expected.keys() - tensors.keys()),
        "unexpected": sorted(tensors.keys() - expected.keys()),
        "misshapen": [
            f"{name} {tuple(tensors[name].shape)} instead of {tuple(shaped.shape)}"
            for name, shaped in sorted(expected.items())
            if name in tensors and tensors[name].shape != shaped.shape
        ],
    }
    said = [f"{kind} {_some(names)}" for kind, names in problems.items() if names]
    if said:
        raise JambaError(f"{folder}: the tensors do not fit config.json: {'; '.join(said)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
