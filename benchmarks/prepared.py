"""The five judged collections with index, questions' vectors and splits; kept in a cache folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_retrieval import CachedEncoder, Found, found_by, make_index
from retrieval.encoder import load_encoder
from retrieval.evaluate import Task, read_task
from retrieval.fusion import DEFAULT, Fusion, hybrid
from retrieval.index import Index
from retrieval.types import Hit, Mode

SQUAD = "squad"
SMALL = ("cranfield", "cacm", "med", "vaswani")
SPLITS = json.loads(Path(__file__).with_name("splits.json").read_text("utf-8"))


@dataclass(frozen=True, slots=True)
class Prepared:
    """One collection and what each retriever finds for each question."""

    name: str
    task: Task
    index: Index
    lexical: Found
    dense: Found

    def fused(self, query: str, k: int, fusion: Fusion = DEFAULT) -> list[Hit]:
        """The hybrid's hits."""
        return hybrid(self.lexical[query], self.dense[query], k, fusion=fusion)


def prepare(name: str, data: Path, cache: Path) -> Prepared:
    """Read the collection; complete its index and vectors in `cache` (as bench_retrieval does)."""
    squad = name == SQUAD
    cache.mkdir(parents=True, exist_ok=True)
    task = read_task(data / ("qa/squad_v1.1_subset.json" if squad else f"retrieval/{name}"))
    vectors = cache / ("questions.npy" if squad else f"{name}-questions.npy")
    encoder = CachedEncoder(load_encoder(), vectors, list(task.queries.values()))
    folder = cache / ("plain" if squad else name)
    make_index(task, folder, encoder, titles=not squad)
    index = Index.open(folder, encoder)
    lexical, dense = (found_by(index, task, mode) for mode in (Mode.BM25, Mode.DENSE))
    return Prepared(name, task, index, lexical, dense)


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
