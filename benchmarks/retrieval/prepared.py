"""The five judged collections with index, questions' vectors and splits; kept in a cache folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.retrieval.bench_retrieval import CachedEncoder, make_index
from retrieval.encoders.encoder import load_encoder
from retrieval.evaluation.evaluate import Task, ask_all, read_task
from retrieval.index import DEPTH, Index
from retrieval.search import Search
from retrieval.types import Hit, Mode

SQUAD = "squad"
SMALL = ("cranfield", "cacm", "med", "vaswani")
Hits = dict[str, list[Hit]]  # by question
SPLITS = json.loads((Path(__file__).parents[1] / "splits.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """One collection with its index, whose encoder knows the questions' vectors."""

    name: str
    task: Task
    index: Index

    def found(self, queries: Sequence[str], mode: Mode = Mode.HYBRID, k: int = DEPTH) -> Hits:
        """The best `k` hits of each of these questions."""
        asked = {query: self.task.queries[query] for query in queries}
        return dict(ask_all(self.index, asked, Search(k, mode)))


def prepare(name: str, data: Path, cache: Path) -> Prepared:
    """Read the collection; complete its index and vectors in `cache` (as bench_retrieval does)."""
    squad = name == SQUAD
    cache.mkdir(parents=True, exist_ok=True)
    task = read_task(data / ("qa/squad_v1.1_subset.json" if squad else f"retrieval/{name}"))
    vectors = cache / ("questions.npy" if squad else f"{name}-questions.npy")
    encoder = CachedEncoder(load_encoder(), vectors, list(task.queries.values()))
    folder = cache / ("plain" if squad else name)
    make_index(task, folder, encoder, titles=not squad)
    return Prepared(name, task, Index.open(folder, encoder))


def squad_queries(task: Task, part: str) -> list[str]:
    """The questions of the articles of a part of SQuAD: tuning, calibration or reporting."""
    titles = set(SPLITS[SQUAD][part])
    return [
        query
        for query, grades in task.qrels.items()
        if next(iter(grades)).rsplit("#", 1)[0] in titles
    ]


def fold_queries(name: str, task: Task, folds: Sequence[int]) -> list[str]:
    """The judged queries of these folds of a small collection."""
    return [q for fold in folds for q in SPLITS["folds"][name][fold] if q in task.qrels]
