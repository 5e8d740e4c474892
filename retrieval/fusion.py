"""Several rankings -> one: a convex combination of scores brought to a common scale; pure.

Each retriever's scores are divided by the best one found, counted from the least score the
retriever can give (BM25: 0, cosine: -1), so that a list of uniformly bad hits does not rise to the
top (Bruch et al., TOIS 2023: TM2C2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.records import Scored
from retrieval.types import Hit, Part

BM25_MINIMUM = 0.0
COSINE_MINIMUM = -1.0
DENSE_WEIGHT = 0.8  # the best on the tuning articles: benchmarks/bench_retrieval.py --tune


@dataclass(frozen=True, slots=True)
class Ranking:
    """One retriever's hits, best first, its weight, and the least score it can give."""

    name: str
    hits: Sequence[Scored]
    weight: float
    minimum: float


def fuse(rankings: Sequence[Ranking], k: int) -> list[Hit]:
    """The best `k` by the weighted sum of normalised scores, ties by id; missing hits count 0."""
    totals: dict[str, float] = {}
    parts: dict[str, dict[str, Part]] = {}
    for ranking in rankings:
        scale = _scale(ranking)
        for rank, hit in enumerate(ranking.hits, start=1):
            normalised = (hit.score - ranking.minimum) * scale
            totals[hit.passage_id] = totals.get(hit.passage_id, 0.0) + ranking.weight * normalised
            parts.setdefault(hit.passage_id, {})[ranking.name] = Part(hit.score, rank)
    best = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:k]
    return [Hit(passage_id, score, parts[passage_id]) for passage_id, score in best]


def hybrid(
    lexical: Sequence[Scored],
    dense: Sequence[Scored],
    k: int,
    *,
    weight: float = DENSE_WEIGHT,
    unit: bool = True,
) -> list[Hit]:
    """BM25 and dense hits as one list of the best `k`; `weight` is the dense share.

    Inner products of vectors that are not of `unit` length have no least value; the least found
    stands in for it.
    """
    least = COSINE_MINIMUM if unit else min((hit.score for hit in dense), default=0.0)
    rankings = [
        Ranking("bm25", lexical, 1 - weight, BM25_MINIMUM),
        Ranking("dense", dense, weight, least),
    ]
    return fuse(rankings, k)


def alone(name: str, hits: Sequence[Scored], k: int) -> list[Hit]:
    """The hits of a single retriever, with its own scores."""
    return [
        Hit(hit.passage_id, hit.score, {name: Part(hit.score, rank)})
        for rank, hit in enumerate(hits[:k], start=1)
    ]


def _scale(ranking: Ranking) -> float:
    """What brings the best score to 1; 0 where even the best is the least possible."""
    best = max((hit.score for hit in ranking.hits), default=ranking.minimum)
    return 1 / (best - ranking.minimum) if best > ranking.minimum else 0.0
