"""Passages in int8 by CTranslate2, on a CPU: quicker than float32, and nearly the same vectors.

The extra `fast` installs it. Each token is quantised by its own range, so that a vector does not
depend on the texts beside it. Weights are converted when first needed, in about a second, and kept
in memory alone.
"""

import importlib.util
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder_folder import (
    SPECIAL_TOKENS,
    EncoderFolder,
    module_folders,
    read_json,
)

Vectors = NDArray[np.float32]  # (n, d)
POSITIONS = "position_embedding_type", "absolute"
MODULES = {"Transformer", "Pooling", "Normalize"}
BATCH = 4  # texts of about one length: few enough for a core's cache


def runs_in_int8(folder: Path, settings: EncoderFolder) -> bool:
    """Whether the encoder in `folder` is a plain BERT, and CTranslate2 is there to run it."""
    if importlib.util.find_spec("ctranslate2") is None:
        return False
    modules = module_folders(folder)
    if not {"Transformer", "Pooling"} <= modules.keys() <= MODULES:
        return False
    network = modules["Transformer"]
    config = read_json(network / "config.json", {})
    prompts = read_json(folder / "config_sentence_transformers.json", {}).get("prompts", {})
    return (
        config.get("model_type") == "bert"
        and config.get(*POSITIONS) == POSITIONS[1]
        and not read_json(network / "sentence_bert_config.json", {}).get("do_lower_case")
        and not any(prompts.values())
        and settings.pooling in ("mean", "cls")
    )


class Int8Encoder:
    """A BERT with its weights in int8; safe to call from any thread."""

    def __init__(self, folder: Path, settings: EncoderFolder, tokenizer: Any, threads: int) -> None:
        import ctranslate2
        from transformers.utils import logging

        logging.set_verbosity_error()  # the terminal is ours
        with tempfile.TemporaryDirectory() as temporary:
            network, converted = Path(temporary, "network"), Path(temporary, "converted")
            _lend(module_folders(folder)["Transformer"], network)
            converter = ctranslate2.converters.TransformersConverter(str(network))
            converter.convert(str(converted), quantization="int8")
            self._network = ctranslate2.Encoder(
                str(converted),
                device="cpu",
                compute_type="int8",
                inter_threads=threads,
                intra_threads=1,  # a text for each core: no core waits for another
            )
        self._settings = settings
        self._tokenizer = tokenizer
        self._threads = ThreadPoolExecutor(threads, "int8")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """(n, d) vectors of texts, quickest where neighbours are of one length."""
        longest = (self._settings.max_tokens or 0) + SPECIAL_TOKENS
        ids = self._tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"]
        batches = [ids[first : first + BATCH] for first in range(0, len(ids), BATCH)]
        return np.concatenate(list(self._threads.map(self._pooled, batches)))

    def _pooled(self, ids: list[list[int]]) -> Vectors:
        states = np.array(self._network.forward_batch(ids).last_hidden_state)  # (n, T, d)
        if self._settings.pooling == "cls":
            vectors = states[:, 0]
        else:
            pairs = zip(states, ids, strict=True)
            vectors = np.stack([state[: len(each)].mean(axis=0) for state, each in pairs])
        if self._settings.normalized:
            vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors


def _lend(network: Path, folder: Path) -> None:
    """The network's files in `folder`, with what transformers 5 leaves out of a configuration."""
    folder.mkdir()
    for path in network.iterdir():
        if path.is_file() and path.name != "config.json":
            (folder / path.name).symlink_to(path.resolve())
    config = dict([POSITIONS]) | read_json(network / "config.json")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
