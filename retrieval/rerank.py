"""The best hits ranked again by a model that reads question and passage together; off by default.

Two kinds of model: the reader, whose log odds that a passage answers come for free where it reads
anyway, behind the likeness of each passage's best sentence; and any cross-encoder of
sentence-transformers. The benchmark `tune_rerank` fits the weights on questions that the model was
not trained on, and says what they gain and cost.
"""

import hashlib
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrieval.fusion import in_order, with_gains
from retrieval.hub import downloaded
from retrieval.records import titled
from retrieval.sentence_rank import best_likeness
from retrieval.types import Hit, Passage, RetrievalError

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.reading.reader import Reader

DEPTH = 20  # hits that are read again
READER_WEIGHT = 0.4  # of shares; measured by benchmarks/retrieval/tune_rerank.py, as are these:
READER_TEMPERATURE = 2.0  # its odds are calibrated on right and wrong passages, not on 20 good hits
READER_WINDOW = 256  # tokens: most passages whole, since their scores compare best so
CROSS_ENCODER_WEIGHT = 1.0  # large against fused scores: the cross-encoder's order, nearly
READ_CHARACTERS = 5_000  # of one passage; only entries of a corpus are longer
BATCH = 32


class Scorer(Protocol):
    """A model that says of passages how well each answers: higher is better, on any scale."""

    @property
    def name(self) -> str:
        """What its part of a hit is called."""
        ...

    @property
    def weight_hash(self) -> str:
        """Which weights it has."""
        ...

    def scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """One finite number for each passage."""
        ...


@dataclass(frozen=True, slots=True)
class Reranker:
    """A scorer, how much its score counts beside the fused one, and how many hits it reads.

    With a `temperature` (above 0), scores are log odds that a passage answers, are divided by it,
    and what counts is each one's share among all that were read and "none of them": where many seem
    to answer, each says little. `first` ranks the same hits beforehand, no deeper than this one.
    """

    scorer: Scorer
    weight: float
    depth: int = DEPTH
    temperature: float | None = None
    first: "Reranker | None" = None

    def settings(self) -> dict[str, Any]:
        """What a run's settings say of it."""
        return {
            "scorer": self.scorer.name,
            "weights": self.scorer.weight_hash,
            "weight": self.weight,
            "depth": self.depth,
            "temperature": self.temperature,
            "first": self.first.settings() if self.first else None,
        }


def rerank(
    question: str, hits: Sequence[Hit], passages: Sequence[Passage], reranker: Reranker
) -> list[Hit]:
    """Hits by their score as a share of the best, plus the scorer's weighted score, ties by id.

    `passages` are those of the first `depth` hits, in order; later hits count as the worst of them
    and so stay behind. A hit that was read gains a part by the scorer's name.
    """
    if not passages or not question.strip():
        return list(hits)
    if reranker.first is not None:
        known = {passage.id: passage for passage in passages}
        hits = rerank(question, hits, passages[: reranker.first.depth], reranker.first)
        passages = [known[hit.passage_id] for hit in hits[: len(passages)]]
    scale = 1 / hits[0].score if hits[0].score > 0 else 1.0  # BM25 and cosines are far apart
    hits = [replace(hit, score=scale * hit.score) for hit in hits]
    scores = reranker.scorer.scores(question, passages)
    counted = scores if reranker.temperature is None else _shares(scores, reranker.temperature)
    gains = [reranker.weight * counts for counts in counted]
    read = with_gains(hits[: len(scores)], reranker.scorer.name, scores, gains)
    least = min(gains)
    rest = [replace(hit, score=hit.score + least) for hit in hits[len(scores) :]]
    return in_order([*read, *rest])


def _shares(log_odds: Sequence[float], temperature: float) -> list[float]:
    """The probability that each is the one that answers, where none of them is as likely as 0."""
    most = max(0.0, *log_odds)
    odds = [math.exp((value - most) / temperature) for value in log_odds]
    total = sum(odds) + math.exp(-most / temperature)
    return [value / total for value in odds]


class SentenceScorer:
    """The cosine of the question with a passage's best sentence; -1 for one without sentences."""

    name = "sentence"

    def __init__(self, encoder: "Encoder") -> None:
        self._encoder = encoder
        self.weight_hash = encoder.weight_hash

    def scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """Cosines, in order."""
        texts = [passage.text[:READ_CHARACTERS] for passage in passages]
        return best_likeness(question, texts, self._encoder)


class ReaderScorer:
    """The reader's log odds that its best span of a passage answers the question."""

    name = "reader"

    def __init__(self, reader: "Reader", weight_hash: str) -> None:
        self._reader = reader
        self.weight_hash = weight_hash

    def scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """Log odds; a passage without words counts as the worst of the others."""
        texts = [passage.text[:READ_CHARACTERS] for passage in passages]
        spans = self._reader.read(question, texts, window_tokens=READER_WINDOW)
        found = [span and span.score for span in spans]
        least = min((score for score in found if score is not None), default=0.0)
        return [least if score is None else score for score in found]


class CrossEncoderScorer:
    """A cross-encoder of sentence-transformers; safe to call from any thread."""

    name = "cross-encoder"

    def __init__(self, model: Any, weight_hash: str) -> None:
        self._model = model
        self._lock = threading.Lock()
        self.weight_hash = weight_hash

    def scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """Its raw scores (logits); raises RetrievalError where they are no numbers."""
        import numpy as np
        from torch import nn

        pairs = [(question, titled(p.title, p.text)) for p in passages]
        with self._lock:
            found = self._model.predict(
                pairs, batch_size=BATCH, show_progress_bar=False, activation_fn=nn.Identity()
            )
        if found.shape != (len(pairs),) or not np.isfinite(found).all():
            raise RetrievalError(
                f"the cross-encoder gave {found.shape} for {len(pairs)} passages, or values that"
                " are no numbers; one score a passage is needed"
            )
        return [float(score) for score in found]


def load_cross_encoder(name: str) -> CrossEncoderScorer:
    """A cross-encoder folder, or a hub id (which may use the network); raises RetrievalError."""
    folder = Path(name) if Path(name).is_dir() else downloaded(name, "cross-encoder")
    from sentence_transformers import CrossEncoder
    from transformers.utils import logging

    logging.disable_progress_bar()  # the terminal is ours
    try:
        model = CrossEncoder(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise RetrievalError(f"{name}: not a cross-encoder folder ({reason})") from error
    return CrossEncoderScorer(model, weights_hash(folder))


def weights_hash(folder: Path) -> str:
    """SHA-256 over the weight files of a model folder; raises RetrievalError if it has none."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise RetrievalError(f"{folder} holds no weights (*.safetensors)")
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
