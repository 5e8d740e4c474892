"""Passages ranked again by their best sentence: a whole passage's vector blurs what one line says.

Weight and depth were measured on the tuning articles (benchmarks/retrieval/bench_sentence_rank.py).
"""

from collections.abc import Sequence
from typing import Any, Protocol

from retrieval.fusion import in_order, with_gains
from retrieval.sentences import sentence_spans
from retrieval.types import Hit, Passage

SENTENCE_WEIGHT = 0.2
DEPTH = 10  # hits that are looked at again; each costs the encoding of its sentences


class SentenceEncoder(Protocol):
    """What is needed of `retrieval.encoders.encoder.Encoder`: rows of unit length."""

    def encode_queries(self, texts: Sequence[str]) -> Any: ...
    def encode_passages(self, passages: Sequence[tuple[str, str]]) -> Any: ...


def rank_by_sentences(
    question: str,
    hits: Sequence[Hit],
    passages: Sequence[Passage],
    encoder: SentenceEncoder,
    weight: float = SENTENCE_WEIGHT,
) -> list[Hit]:
    """Hits by fused score plus `weight` times the best cosine of a sentence, ties by passage id.

    `passages` are those of the hits, in order. Each hit gains the part "sentence".
    """
    likeness = best_likeness(question, [passage.text for passage in passages], encoder)
    gains = [weight * cosine for cosine in likeness]
    return in_order(with_gains(hits, "sentence", likeness, gains))


def best_likeness(question: str, texts: Sequence[str], encoder: SentenceEncoder) -> list[float]:
    """For each text the best cosine of the question with one of its sentences; -1 for none."""
    sentences = [
        (at, text[start:end])
        for at, text in enumerate(texts)
        for start, end in sentence_spans(text)
    ]
    best = [-1.0] * len(texts)
    if sentences:
        asked = encoder.encode_queries([question])[0]  # (d,)
        cosines = encoder.encode_passages([("", words) for _, words in sentences]) @ asked
        for (at, _), cosine in zip(sentences, cosines, strict=True):
            best[at] = max(best[at], float(cosine))
    return best
