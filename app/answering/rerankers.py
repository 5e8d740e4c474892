"""What `--rerank NAME` names: the bundled reader, a reader's folder, or a cross-encoder."""

from pathlib import Path
from typing import TYPE_CHECKING

from app.types import OrbweaverError

if TYPE_CHECKING:
    from retrieval.rerank import Reranker

READER = "reader"


def open_reranker(
    name: str | None, weight: float | None = None, depth: int | None = None
) -> "Reranker | None":
    """The reranker, None for None; raises OrbweaverError for a weight below 0, or RetrievalError.

    "reader" is the bundled reader; a folder holds a reader or a cross-encoder; anything else is a
    cross-encoder's hub id, which may use the network.
    """
    if name is None:
        return None
    from app.answering.reader import BUNDLED, open_reader
    from retrieval import rerank
    from retrieval.encoders.encoder import load_encoder
    from retrieval.reading.reader import CARD
    from retrieval.sentence_rank import DEPTH as SENTENCE_DEPTH
    from retrieval.sentence_rank import SENTENCE_WEIGHT

    if weight is not None and weight < 0:
        raise OrbweaverError(f"a reranker's weight is 0 or more, not {weight}")
    depth = rerank.DEPTH if depth is None else depth
    folder = BUNDLED if name == READER else Path(name)
    if (folder / CARD).is_file():
        reader = rerank.ReaderScorer(open_reader(folder), rerank.weights_hash(folder))
        weight = rerank.READER_WEIGHT if weight is None else weight
        likeness = rerank.SentenceScorer(load_encoder())
        first = rerank.Reranker(likeness, SENTENCE_WEIGHT, min(depth, SENTENCE_DEPTH))
        return rerank.Reranker(reader, weight, depth, rerank.READER_TEMPERATURE, first)
    model = rerank.load_cross_encoder(name)
    return rerank.Reranker(model, rerank.CROSS_ENCODER_WEIGHT if weight is None else weight, depth)
