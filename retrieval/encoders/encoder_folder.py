"""What an encoder's folder says of itself, read without loading the model."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.types import RetrievalError

NOTES = "orbweaver.json"  # what sentence-transformers' own files do not say
SPECIAL_TOKENS = 2  # [CLS] and [SEP]


@dataclass(frozen=True, slots=True)
class EncoderFolder:
    """The settings that decide what vectors the model in a folder makes."""

    weight_hash: str
    dimension: int
    pooling: str
    max_tokens: int | None  # besides the special ones; None reads texts of any length
    normalized: bool
    title_separator: str


def read_encoder_folder(folder: Path) -> EncoderFolder:
    """Read the settings and hash the weights.

    Raises RetrievalError for a folder that is no encoder, or is one in DPR's layout.
    """
    modules = module_folders(folder)
    if "StaticEmbedding" in modules:
        return _static(folder, modules)
    network = modules.get("Transformer", folder)
    config = read_json(network / "config.json")
    if "Transformer" not in modules and config.get("model_type") == "dpr":
        raise RetrievalError(
            f"{folder} is in DPR's layout: 'python -m app train import {folder} --out MODEL' makes"
            " an encoder of it"
        )
    pooling = read_json(modules.get("Pooling", folder) / "config.json", {})
    width = pooling.get("embedding_dimension") or pooling.get("word_embedding_dimension")
    return EncoderFolder(
        _weight_hash(folder),
        int(width or config["hidden_size"]),
        _pooling(pooling),
        _longest(network, config) - SPECIAL_TOKENS,
        "Normalize" in modules,
        str(read_json(folder / NOTES, {}).get("title_separator", "\n")),
    )


def notes(title_separator: str) -> str:
    """The content of NOTES."""
    return json.dumps({"format": 1, "title_separator": title_separator}) + "\n"


def _static(folder: Path, modules: Mapping[str, Path]) -> EncoderFolder:
    """One vector a token, in a single matrix."""
    from safetensors import safe_open

    path = modules["StaticEmbedding"] / "model.safetensors"
    if not path.is_file():
        raise RetrievalError(f"{path} is missing: not a sentence-transformers folder")
    with safe_open(path, framework="numpy") as tensors:
        shapes = [tensors.get_slice(name).get_shape() for name in tensors.keys()]  # noqa: SIM118
    width = next(shape[1] for shape in shapes if len(shape) == 2)
    separator = str(read_json(folder / NOTES, {}).get("title_separator", "\n"))
    unit = "Normalize" in modules
    return EncoderFolder(_weight_hash(folder), width, "mean of tokens", None, unit, separator)


def module_folders(folder: Path) -> dict[str, Path]:
    """The folder of each module that passages go through, by its class."""
    found = {
        str(m["type"]).rsplit(".", 1)[-1]: m["path"] for m in read_json(folder / "modules.json", [])
    }
    if "Router" in found:  # one network for questions, another for passages
        router = folder / found.pop("Router")
        route = read_json(router / "router_config.json")["structure"]["document"]
        found |= {name.rsplit("_", 1)[-1]: router / name for name in route}
    return {name: folder / path for name, path in found.items()}


def _longest(network: Path, config: Mapping[str, Any]) -> int:
    """How many tokens are read, by the same rules as sentence-transformers."""
    given = read_json(network / "sentence_bert_config.json", {}).get("max_seq_length")
    positions = int(config.get("max_position_embeddings", 512))
    tokenizer = read_json(network / "tokenizer_config.json", {}).get("model_max_length")
    return int(given or min(positions, int(tokenizer or positions)))


def _pooling(config: Mapping[str, Any]) -> str:
    if "pooling_mode" in config:
        return str(config["pooling_mode"])
    chosen = [k for k, v in config.items() if k.startswith("pooling_mode_") and v is True]
    return (
        "+".join(k.removeprefix("pooling_mode_").removesuffix("_tokens") for k in chosen) or "mean"
    )


def _weight_hash(folder: Path) -> str:
    """SHA-256 of the weights; of the file itself where there is one."""
    files = sorted(folder.rglob("*.safetensors")) or sorted(folder.rglob("*.bin"))
    if not files:
        raise RetrievalError(f"{folder} holds no weights (*.safetensors): not an encoder")
    digests = []
    for path in files:
        with open(path, "rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def read_json(path: Path, missing: Any = None) -> Any:
    """What a JSON file holds, or `missing`; raises RetrievalError if that is None."""
    if not path.is_file():
        if missing is None:
            raise RetrievalError(f"{path} is missing: not a sentence-transformers folder")
        return missing
    return json.loads(path.read_text("utf-8"))
