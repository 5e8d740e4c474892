"""What ranking again by the best sentence gains on the SQuAD subset, weight by weight.

    python -m benchmarks.retrieval.bench_sentence_rank SQUAD_JSON --cache CACHE [--questions 300]
        [--report]

Uses the index of `bench_retrieval.py` in CACHE (made if missing). A seeded draw of questions of the
tuning articles chose the weight; --report asks as many of the reporting articles.
"""

import argparse
import json
import random
from pathlib import Path

from benchmarks.retrieval.bench_retrieval import CachedEncoder, make_index
from retrieval.encoders.encoder import load_encoder
from retrieval.evaluation.evaluate import Task, read_task
from retrieval.index import Index
from retrieval.sentence_rank import DEPTH, rank_by_sentences

WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)


def drawn(task: Task, split: str, count: int) -> list[str]:
    """`count` question ids of the split's articles, the same every time."""
    splits = json.loads((Path(__file__).parents[1] / "splits.json").read_text("utf-8"))
    titles = set(splits["squad"][split])
    ids = [
        query for query, grades in task.qrels.items() if next(iter(grades)).rsplit("#")[0] in titles
    ]
    return random.Random(5).sample(ids, min(count, len(ids)))


def ranks(
    index: Index, encoder: CachedEncoder, task: Task, ids: list[str]
) -> dict[float, list[int]]:
    """For each weight each question's rank of its own paragraph; DEPTH + 1 where not found."""
    found: dict[float, list[int]] = {weight: [] for weight in WEIGHTS}
    searched = index.search_many([task.queries[id] for id in ids], k=DEPTH)
    for id, hits in zip(ids, searched, strict=True):
        passages = index.passages([hit.passage_id for hit in hits])
        plain = rank_by_sentences(task.queries[id], hits, passages, encoder, weight=0.0)
        for weight in WEIGHTS:
            order = sorted(
                plain, key=lambda hit: -(hit.score + weight * hit.parts["sentence"].score)
            )
            right = [at for at, hit in enumerate(order, 1) if hit.passage_id in task.qrels[id]]
            found[weight].append(right[0] if right else DEPTH + 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--report", action="store_true", help="the reporting articles")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    task = read_task(options.data)
    encoder = CachedEncoder(
        load_encoder(), options.cache / "questions.npy", list(task.queries.values())
    )
    make_index(task, options.cache / "plain", encoder, titles=False)
    index = Index.open(options.cache / "plain", encoder)
    ids = drawn(task, "reporting" if options.report else "tuning", options.questions)
    print("| weight | top-1 | top-4 | top-10 |\n|---|---|---|---|")
    for weight, places in ranks(index, encoder, task, ids).items():
        cells = [f"{100 * sum(rank <= k for rank in places) / len(places):.1f}" for k in (1, 4, 10)]
        print(f"| {weight} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
