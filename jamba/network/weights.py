"""Checkpoints: a Hugging Face folder to a model and back, every tensor accounted for."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from jamba.config import JambaConfig, JambaError, Quantisation, load_config
from jamba.network.experts import MixtureOfExperts
from jamba.network.memory import check_memory
from jamba.network.model import Jamba
from jamba.network.quantise import Int8Embedding, Int8Linear, prepare, quantise
from jamba.state import CPU, Place

SINGLE = "model.safetensors"
SHARDED = "model.safetensors.index.json"
EMBEDDING, HEAD = "model.embed_tokens", "lm_head"
EXACT = ("A_log", "D")  # float32 in every model: they go through the exponentials of the scan
SHOWN = 5  # tensor names in an error message


def load_model(
    path: str | Path,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    quantisation: Quantisation = Quantisation.NONE,
) -> Jamba:
    """Load a folder with config.json and safetensors, ready to answer (evaluation, no gradients).

    On a CPU float32 weights are mapped from the file; others are converted one tensor at a time.
    Matrices that `quantisation` names are turned into int8 as they are read. Raises JambaError
    where the architecture is another one, memory does not suffice, a tensor is missing,
    unexpected, misshapen or (where quantised) not finite, or this engine does not run the device
    or dtype.
    """
    folder, place = Path(path), _place(device, dtype)
    config = load_config(folder)
    quantisation = Quantisation(quantisation)
    check_memory(folder, config, quantisation, place)
    with torch.device("meta"):
        model: Jamba = Jamba(config).to(dtype)
    _check_shapes(folder, model)
    prepare(model, quantisation)
    tensors: dict[str, Tensor] = {}
    for name, tensor in _read_tensors(folder):
        tensors |= _held(model, name, tensor, quantisation, place)
    if config.tie_word_embeddings:
        _drop_spare_head(tensors, folder)
    model.load_state_dict(tensors, assign=True)
    model.requires_grad_(False).eval()
    if place.device.type == "cuda":
        for block in (m for m in model.modules() if isinstance(m, MixtureOfExperts)):
            block.stack()
    return model


def best_place(device: str | None = None) -> Place:
    """A device with the type that models run best in there; without one, a GPU if there is any."""
    is_gpu = torch.cuda.is_available() if device is None else torch.device(device).type == "cuda"
    return Place(torch.device(device or "cuda"), torch.bfloat16) if is_gpu else CPU


def save_model(model: Jamba, folder: Path) -> None:
    """Write config.json and model.safetensors, each complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    state = model.state_dict()
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
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
        digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _place(device: str, dtype: torch.dtype) -> Place:
    """Raises JambaError where this machine or this engine does not have it."""
    place = Place(torch.device(device), dtype)
    if place.device.type not in ("cpu", "cuda"):
        raise JambaError(f"device {device!r} is not supported; this engine runs on 'cpu' or 'cuda'")
    if place.device.type == "cpu" and dtype != torch.float32:
        raise JambaError(
            f"dtype {dtype} is not offered on a CPU: without special instructions its matrix "
            "products are many times slower than those of float32; use torch.float32"
        )
    if place.device.type == "cuda" and not torch.cuda.is_available():
        raise JambaError(f"device {device!r}: torch {torch.__version__} finds no GPU; use 'cpu'")
    if dtype not in (torch.float32, torch.bfloat16):
        raise JambaError(f"dtype {dtype} is not offered; use torch.float32 or torch.bfloat16")
    return place


def _publish(partial: Path, final: Path) -> None:
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(final)


def _read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the checkpoint, as it is stored and mapped from its file."""
    for shard, names in _shards(folder).items():
        with _opened(shard) as file:
            for name in names or file.keys():
                yield name, file.get_tensor(name)


@contextmanager
def _opened(shard: Path) -> Iterator[Any]:
    try:
        with safe_open(shard, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise JambaError(f"{shard}: no such file; the checkpoint is incomplete") from None
    except (SafetensorError, OSError, RuntimeError) as error:  # torch's, where mapping it fails
        raise JambaError(f"{shard}: not readable as safetensors ({error})") from error


def _held(
    model: Jamba, name: str, tensor: Tensor, quantisation: Quantisation, place: Place
) -> dict[str, Tensor]:
    """What the model keeps of one tensor of the checkpoint, under the names of its state."""
    owner, _, kind = name.rpartition(".")
    module = model.get_submodule(EMBEDDING if _is_spare_head(model.config, name) else owner)
    if kind == "weight" and isinstance(module, Int8Linear | Int8Embedding):
        weight, scale = quantise(tensor.to(place.device), name)
        return {name: weight, f"{owner}.scale": scale}
    # A view would keep its whole file in memory, of which int8 needs nothing more.
    is_view = quantisation is not Quantisation.NONE and place == CPU
    dtype = torch.float32 if kind in EXACT else place.dtype
    return {name: tensor.to(place.device, dtype, copy=is_view)}


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


def _is_spare_head(config: JambaConfig, name: str) -> bool:
    """Some tied checkpoints store the head once more; it must then be the embedding."""
    return config.tie_word_embeddings and name == f"{HEAD}.weight"


def _drop_spare_head(tensors: dict[str, Tensor], folder: Path) -> None:
    for kind in ("weight", "scale"):
        head = tensors.pop(f"{HEAD}.{kind}", None)
        if head is not None and not torch.equal(head, tensors[f"{EMBEDDING}.{kind}"]):
            raise JambaError(
                f"{folder}: tie_word_embeddings is true, but lm_head.weight is another matrix"
            )


def _check_shapes(folder: Path, model: Jamba) -> None:
    """Raise one JambaError that names what is missing, unexpected and misshapen in the files."""
    found: dict[str, tuple[int, ...]] = {}
    for shard, names in _shards(folder).items():
        with _opened(shard) as file:
            for name in names or file.keys():
                found[name] = tuple(file.get_slice(name).get_shape())
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in found:
        if _is_spare_head(model.config, name):
            expected[name] = expected[f"{EMBEDDING}.weight"]
    problems = {
        "missing": sorted(expected.keys() - found.keys()),
        "unexpected": sorted(found.keys() - expected.keys()),
        "misshapen": [
            f"{name} {found[name]} instead of {shape}"
            for name, shape in sorted(expected.items())
            if found.get(name, shape) != shape
        ],
    }
    said = [f"{kind} {_some(names)}" for kind, names in problems.items() if names]
    if said:
        raise JambaError(f"{folder}: the tensors do not fit config.json: {'; '.join(said)}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
