"""Does it say so? Each generated sentence, linked to the passage sentence that supports it best."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.answering.quote import cite, sentences_of
from app.answering.words import numbers, stems
from app.types import Citation, RetrievedPassage, Sentence
from retrieval.sentence_rank import SentenceEncoder
from retrieval.sentences import sentence_spans
from retrieval.types import Region


@dataclass(frozen=True, slots=True)
class SupportRule:
    """When words count as support: likeness of meaning and shared words, above a threshold."""

    likeness: float = 0.5
    shared: float = 0.5
    threshold: float = 0.6


def supported_sentences(
    text: str,
    passages: Sequence[RetrievedPassage],
    encoder: SentenceEncoder,
    rule: SupportRule = SupportRule(),
) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
    """The sentences of a generated text, each with at most one citation, and the citations.

    A sentence that no passage sentence supports has none.
    """
    claims = [text[start:end] for start, end in sentence_spans(text)]
    sources = sentences_of(passages)
    if not claims or not sources:
        return tuple(Sentence(claim, ()) for claim in claims), ()
    words = [passages[s.passage].text[s.start : s.end] for s in sources]
    likeness = _encode(encoder, claims) @ _encode(encoder, words).T  # (claims, sources)
    numbers: dict[Region, int] = {}
    sentences = []
    for claim, row in zip(claims, likeness, strict=True):
        best = _best_source(claim, row, words, rule)
        if best is None:
            sentences.append(Sentence(claim, ()))
        else:
            number = numbers.setdefault(sources[best], len(numbers) + 1)
            sentences.append(Sentence(claim, (number,)))
    return tuple(sentences), tuple(
        cite(number, passages[source.passage], source.start, source.end)
        for source, number in numbers.items()
    )


def _encode(encoder: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
    rows: np.ndarray = encoder.encode_passages([("", text) for text in texts])
    return rows


def _best_source(
    claim: str, likeness: np.ndarray, sources: Sequence[str], rule: SupportRule
) -> int | None:
    """The row of the best source; one that lacks a number of the claim never supports it."""
    figures, said = numbers(claim), stems(claim)
    scores = {}
    for row, source in enumerate(sources):
        if figures <= numbers(source):  # likeness hardly sees digits
            shared = len(said & stems(source)) / max(len(said), 1)
            scores[row] = rule.likeness * float(likeness[row]) + rule.shared * shared
    best = min(scores, key=lambda row: (-scores[row], row), default=None)
    return best if best is not None and scores[best] >= rule.threshold else None
