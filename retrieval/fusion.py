"""Several rankings -> one; pure, and equal scores are always ordered by passage id.

Three rules, each with one parameter:

- `convex:A`: scores brought to one scale and added, the dense ones with share A. Each list is
  divided by its best score, counted from the least the retriever can give (BM25: 0, cosine: -1), so
  that a list of uniformly bad hits does not rise to the top (Bruch et al., TOIS 2023: TM2C2).
- `rrf:N`: the sum of 1 / (N + rank) (Cormack et al., SIGIR 2009).
- `sum:L`: BM25's raw score plus L times the dense one; what a list lacks counts as that list's
  least score (Ram et al., NAACL 2022: Spider's hybrid, with L = 1).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from retrieval.records import Scored
from retrieval.types import Hit, Part, RetrievalError

BM25_MINIMUM = 0.0
COSINE_MINIMUM = -1.0
DENSE_WEIGHT = 0.8  # the best on the tuning articles: bench_retrieval --tune


class Method(StrEnum):
    """How scores of two rankings are put together."""

    CONVEX = "convex"
    RRF = "rrf"
    SUM = "sum"


PARAMETERS = {Method.CONVEX: DENSE_WEIGHT, Method.RRF: 60.0, Method.SUM: 1.0}


@dataclass(frozen=True, slots=True)
class Fusion:
    """A rule and its parameter; as text "convex:0.8"."""

    method: Method = Method.CONVEX
    parameter: float = DENSE_WEIGHT

    def __str__(self) -> str:
        return f"{self.method}:{self.parameter:g}"


DEFAULT = Fusion()


def parse_fusion(text: str) -> Fusion:
    """The rule that "rrf" or "rrf:60" names; raises RetrievalError for any other name or number."""
    name, _, number = text.partition(":")
    try:
        method = Method(name)
        parameter = float(number) if number else PARAMETERS[method]
    except ValueError:
        raise _unknown(text) from None
    highest = 1.0 if method is Method.CONVEX else float("inf")
    if not 0 <= parameter <= highest or parameter == float("inf"):
        raise _unknown(text)
    return Fusion(method, parameter)


def _unknown(text: str) -> RetrievalError:
    return RetrievalError(
        f"no fusion '{text}': use convex:A with the dense share A from 0 to 1, rrf:N, or sum:L"
    )


@dataclass(frozen=True, slots=True)
class Ranking:
    """One retriever's hits, best first, its weight, and the least score it can give."""

    name: str
    hits: Sequence[Scored]
    weight: float
    minimum: float


@dataclass(frozen=True, slots=True)
class Points:
    """What one ranking gives to each passage it found, and to every passage it did not."""

    found: Mapping[str, float]
    missing: float


def fuse(rankings: Sequence[Ranking], k: int) -> list[Hit]:
    """The best `k` by the weighted sum of normalised scores; missing hits count 0."""
    return _best(rankings, [_normalised(ranking) for ranking in rankings], k)


def fuse_ranks(rankings: Sequence[Ranking], k: int, constant: float) -> list[Hit]:
    """The best `k` by the sum of 1 / (constant + rank); missing hits count 0."""
    points = [
        Points({hit.passage_id: 1 / (constant + n) for n, hit in enumerate(ranking.hits, 1)}, 0.0)
        for ranking in rankings
    ]
    return _best(rankings, points, k)


def fuse_sums(rankings: Sequence[Ranking], k: int) -> list[Hit]:
    """The best `k` by the weighted sum of raw scores; missing hits count as their list's least."""
    return _best(rankings, [_raw(ranking) for ranking in rankings], k)


def hybrid(
    lexical: Sequence[Scored],
    dense: Sequence[Scored],
    k: int,
    *,
    fusion: Fusion = DEFAULT,
    unit: bool = True,
) -> list[Hit]:
    """BM25 and dense hits as one list of the best `k`.

    Inner products of vectors that are not of `unit` length have no least value; the least found
    stands in for it.
    """
    convex = fusion.method is Method.CONVEX
    least = COSINE_MINIMUM if unit else min((hit.score for hit in dense), default=0.0)
    rankings = [
        Ranking("bm25", lexical, 1 - fusion.parameter if convex else 1.0, BM25_MINIMUM),
        Ranking("dense", dense, fusion.parameter, least),
    ]
    if fusion.method is Method.RRF:
        return fuse_ranks(rankings, k, fusion.parameter)
    return fuse(rankings, k) if convex else fuse_sums(rankings, k)


def alone(name: str, hits: Sequence[Scored], k: int) -> list[Hit]:
    """The hits of a single retriever, with its own scores."""
    return [
        Hit(hit.passage_id, hit.score, {name: Part(hit.score, rank)})
        for rank, hit in enumerate(hits[:k], start=1)
    ]


def with_gains(
    hits: Sequence[Hit], name: str, scores: Sequence[float], gains: Sequence[float]
) -> list[Hit]:
    """The hits, where they stand, with `gains` added; each keeps its of `scores` as part `name`."""
    order = sorted(range(len(hits)), key=lambda at: (-scores[at], hits[at].passage_id))
    ranks = {at: rank for rank, at in enumerate(order, start=1)}
    return [
        replace(
            hit,
            score=hit.score + gains[at],
            parts={**hit.parts, name: Part(scores[at], ranks[at])},
        )
        for at, hit in enumerate(hits)
    ]


def in_order(hits: Iterable[Hit]) -> list[Hit]:
    """Best first, ties by passage id."""
    return sorted(hits, key=lambda hit: (-hit.score, hit.passage_id))


def _best(rankings: Sequence[Ranking], points: Sequence[Points], k: int) -> list[Hit]:
    """The `k` passages with the most points, ties by id, with what each retriever said."""
    parts: dict[str, dict[str, Part]] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking.hits, start=1):
            parts.setdefault(hit.passage_id, {})[ranking.name] = Part(hit.score, rank)
    totals = {id: sum(each.found.get(id, each.missing) for each in points) for id in parts}
    best = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:k]
    return [Hit(passage_id, score, parts[passage_id]) for passage_id, score in best]


def _normalised(ranking: Ranking) -> Points:
    """The best score becomes the weight; all 0 where even the best is the least possible."""
    best = max((hit.score for hit in ranking.hits), default=ranking.minimum)
    scale = 1 / (best - ranking.minimum) if best > ranking.minimum else 0.0
    return Points(
        {
            h.passage_id: ranking.weight * ((h.score - ranking.minimum) * scale)
            for h in ranking.hits
        },
        0.0,
    )


def _raw(ranking: Ranking) -> Points:
    least = min((hit.score for hit in ranking.hits), default=0.0)
    found = {hit.passage_id: ranking.weight * hit.score for hit in ranking.hits}
    return Points(found, ranking.weight * least)
