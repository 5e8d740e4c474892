"""What reading the best hits again gains and costs; fits the weight of the second score.

    python -m benchmarks.retrieval.tune_rerank ../shared/data --cache CACHE # fits, prints grids
    python -m benchmarks.retrieval.tune_rerank ../shared/data --cache CACHE
        --report      # SQuAD, reporting
    python -m benchmarks.retrieval.tune_rerank ... --rerank FOLDER_OR_HUB_ID # a cross-encoder

The reader was trained on SQuAD's tuning articles, so its weight is fitted on the two calibration
articles, which it never saw, and on all queries of the small collections, which must lose nothing:
the best nDCG@10 of the former among the weights at which no collection loses more than 0.3 points.
A cross-encoder trained on the tuning articles is fitted the same way.
Scores are kept in CACHE by the model's weights, so a stopped run goes on and another grid is free;
after a change of how passages are read, delete its rerank-*.jsonl.
--report asks a seeded draw of the reporting articles: fused, ranked by sentences (what the
application does) and read again, with the seconds of each and a paired test.
"""

import argparse
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median

from app.answering.rerankers import READER, open_reranker
from app.experiments.run_folder import RunFolder
from app.experiments.significance import compare, in_words
from benchmarks.retrieval.prepared import SMALL, SQUAD, Hits, Prepared, prepare, squad_queries
from retrieval.evaluation.evaluate import PerQuery, means, measure_each
from retrieval.rerank import Reranker, Scorer, rerank
from retrieval.sentence_rank import DEPTH as SENTENCE_DEPTH
from retrieval.sentence_rank import rank_by_sentences
from retrieval.types import Hit, Passage

WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6, 1.0)
DEPTHS = (5, 10, 20)
MEASURES = ("nDCG@10", "Success@1", "Success@5", "Success@20")
K = 20
TOLERANCE = 0.3  # points that another collection may lose


class Known:
    """A scorer that has read everything before."""

    def __init__(self, scorer: Scorer, scores: Mapping[tuple[str, str], float]) -> None:
        self.name = scorer.name
        self.weight_hash = scorer.weight_hash
        self._scores = scores

    def scores(self, question: str, passages: Sequence[Passage]) -> list[float]:
        """What was read."""
        return [self._scores[question, passage.id] for passage in passages]


def read(one: Prepared, found: Hits, scorer: Scorer, cache: Path) -> tuple[Known, list[float]]:
    """Score the K best hits of each question, and the seconds each took; goes on with the cache."""
    folder, name = RunFolder(cache), f"rerank-{scorer.weight_hash[:16]}-{one.name}.jsonl"
    kept = {row["query"]: row for row in folder.lines(name)}
    for number, (query, hits) in enumerate(found.items(), start=1):
        if query in kept:
            continue
        passages = one.index.passages(ids(hits))
        began = time.perf_counter()
        scores = scorer.scores(one.task.queries[query], passages)
        kept[query] = {
            "query": query,
            "scores": {p.id: round(s, 5) for p, s in zip(passages, scores, strict=True)},
            "seconds": round(time.perf_counter() - began, 4),
        }
        folder.append(name, [kept[query]])
        if number % 50 == 0:
            print(f"{one.name} {number}/{len(found)}", flush=True)
    scores_of = {
        (one.task.queries[query], id): score
        for query in found
        for id, score in kept[query]["scores"].items()
    }
    return Known(scorer, scores_of), [kept[query]["seconds"] for query in found]


def known(one: Prepared, found: Hits, model: Reranker, cache: Path) -> tuple[Reranker, list[float]]:
    """The same, with every score known, and the seconds that each question took in all."""
    scorer, seconds = read(one, found, model.scorer, cache)
    first = model.first
    if first is not None:
        shallow = {query: hits[: first.depth] for query, hits in found.items()}
        first, before = known(one, shallow, first, cache)
        seconds = [a + b for a, b in zip(before, seconds, strict=True)]
    return replace(model, scorer=scorer, first=first), seconds


def reranked(one: Prepared, found: Hits, reranker: Reranker) -> PerQuery:
    """Every measure of every question, read again."""
    ranked = {}
    for query, hits in found.items():
        passages = one.index.passages(ids(hits[: reranker.depth]))
        ranked[query] = ids(rerank(one.task.queries[query], hits, passages, reranker))
    return measure_each({query: one.task.qrels[query] for query in found}, ranked, MEASURES)


def by_sentences(one: Prepared, found: Hits) -> tuple[PerQuery, list[float]]:
    """The same for what the application does without a reranker."""
    ranked, seconds = {}, []
    for query, hits in found.items():
        best = hits[:SENTENCE_DEPTH]
        passages = one.index.passages(ids(best))
        began = time.perf_counter()
        again = rank_by_sentences(one.task.queries[query], best, passages, one.index.encoder)
        seconds.append(time.perf_counter() - began)
        ranked[query] = ids([*again, *hits[SENTENCE_DEPTH:]])
    return measure_each({q: one.task.qrels[q] for q in found}, ranked, MEASURES), seconds


def ids(hits: Sequence[Hit]) -> list[str]:
    return [hit.passage_id for hit in hits]


def drawn(queries: Sequence[str], count: int) -> list[str]:
    """A seeded draw; a larger one holds every smaller one, whose scores are known."""
    shuffled = list(queries)
    random.Random(11).shuffle(shuffled)
    return shuffled[:count]


def grid(one: Prepared, found: Hits, model: Reranker, depth: int) -> dict[float, dict[str, float]]:
    """Each weight's figures in percent; with weight 0 nothing is ranked again."""
    rows = {}
    for weight in WEIGHTS:
        first = model.first if weight else None
        again = replace(model, weight=weight, depth=depth, first=first)
        rows[weight] = means(reranked(one, found, again), MEASURES)
    return rows


def line(name: str, figures: Mapping[str, float], note: str = "") -> str:
    return f"| {name} | {' | '.join(f'{figures[m]:.2f}' for m in MEASURES)} | {note} |"


def fit(sets: Sequence[Prepared], model: Reranker, cache: Path, count: int) -> None:
    """The grids, and the weight to write into retrieval/rerank.py."""
    grids: dict[str, dict[int, dict[float, dict[str, float]]]] = {}
    for one in sets:
        whole = squad_queries(one.task, "calibration") if one.name == SQUAD else one.task.queries
        found = one.found(drawn(list(whole), count), k=K)
        asked, seconds = known(one, found, model, cache)
        grids[one.name] = {depth: grid(one, found, asked, depth) for depth in DEPTHS}
        print(f"\n{one.name}, {len(found)} questions, {median(seconds):.2f} s each for {K} hits\n")
        print(f"| depth, weight | {' | '.join(MEASURES)} | |\n|---|{'---|' * (len(MEASURES) + 1)}")
        for depth, rows in grids[one.name].items():
            for weight, figures in rows.items():
                print(line(f"{depth}, {weight}", figures))
    for depth in DEPTHS:
        weight = best_weight({name: rows[depth] for name, rows in grids.items()})
        print(f"\ndepth {depth}: weight {weight}", end="")
    print()


def best_weight(grids: Mapping[str, Mapping[float, Mapping[str, float]]]) -> float:
    """The best on SQuAD of those that cost no other collection more than the tolerance."""
    judge = grids[SQUAD] if SQUAD in grids else next(iter(grids.values()))
    harmless = [
        weight
        for weight in WEIGHTS
        if all(
            rows[weight]["nDCG@10"] >= rows[0.0]["nDCG@10"] - TOLERANCE for rows in grids.values()
        )
    ]
    return max(harmless, key=lambda weight: judge[weight]["nDCG@10"])


def report(one: Prepared, model: Reranker, cache: Path, count: int) -> None:
    """Questions of the reporting articles: fused, by sentences, read again; gain, cost and test."""
    queries = drawn(squad_queries(one.task, "reporting"), count)
    hits = one.found(queries, k=K)
    model, reading = known(one, hits, model, cache)
    plain = reranked(one, hits, replace(model, weight=0.0, first=None))
    sentences, encoding = by_sentences(one, hits)
    again = reranked(one, hits, model)
    print(f"SQuAD, {len(queries)} questions of the reporting articles, all 2,430 passages\n")
    print(f"| | {' | '.join(MEASURES)} | seconds |\n|---|{'---|' * (len(MEASURES) + 1)}")
    print(line("fused", means(plain, MEASURES)))
    print(line("by sentences", means(sentences, MEASURES), f"{median(encoding):.2f}"))
    label = f"{model.scorer.name}, weight {model.weight}, depth {model.depth}"
    print(line(label, means(again, MEASURES), f"{median(reading):.2f} for {K} hits"))
    for name in MEASURES[:3]:
        for baseline, values in (("fused", plain), ("by sentences", sentences)):
            found = compare(
                name,
                [100 * values[query][name] for query in queries],
                [100 * again[query][name] for query in queries],
            )
            print(in_words(found, baseline, model.scorer.name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--rerank", default=READER, help="'reader', a folder or a hub id")
    parser.add_argument("--weight", type=float, help="for --report, instead of the default")
    parser.add_argument("--depth", type=int, help="for --report, instead of the default")
    parser.add_argument("--drawn", type=int, default=500, help="questions of a collection")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--collections", nargs="+", default=[SQUAD, *SMALL], help="only these")
    options = parser.parse_args()
    model = open_reranker(options.rerank, options.weight, options.depth)
    assert model is not None
    names = [SQUAD] if options.report else options.collections
    sets = [prepare(name, options.data, options.cache) for name in names]
    if options.report:
        report(sets[0], model, options.cache, options.drawn)
    else:
        fit(sets, model, options.cache, options.drawn)


if __name__ == "__main__":
    main()
