"""What runs tell of a model: the digest of its files, and its size."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.experiments.run_folder import digest_of

if TYPE_CHECKING:
    from torch.nn import Module

PATTERNS = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.json", "merges.txt")


def digest_of_model(folder: Path) -> str:
    """SHA-256 over weights, config and tokenizer of a model folder."""
    return digest_of(path for pattern in PATTERNS for path in folder.glob(pattern))


def size_of_model(model: "Module") -> int:
    """Its parameters, those that several layers share counted once."""
    return sum(parameter.numel() for parameter in model.parameters())
