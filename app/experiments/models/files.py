"""The files of a model's folder, by digest."""

from pathlib import Path

from app.experiments.run_folder import digest_of

PATTERNS = ("*.safetensors", "*.bin", "config.json", "tokenizer.json", "vocab.json", "merges.txt")


def digest_of_model(folder: Path) -> str:
    """SHA-256 over weights, config and tokenizer of a model folder."""
    return digest_of(path for pattern in PATTERNS for path in folder.glob(pattern))
