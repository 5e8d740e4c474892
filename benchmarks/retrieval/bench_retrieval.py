"""Top-1, top-5 and top-20 accuracy on the SQuAD subset: BM25, MiniLM and their fusion.

    python -m benchmarks.retrieval.bench_retrieval ../shared/data/qa/squad_v1.1_subset.json
        --cache CACHE
    python -m benchmarks.retrieval.bench_retrieval ... --tune      # the grid that chose the default

Each of 2,430 paragraphs is one passage, each of 11,877 questions is asked, and only the question's
own paragraph is right. Titles are not used unless --titles. The index and the questions' vectors
are kept in CACHE, outside the repository, and a stopped run goes on from there. --tune looks at the
tuning articles of splits.json alone.
"""

import argparse
import datetime
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from retrieval.encoders.encoder import Encoder, load_encoder
from retrieval.evaluation.evaluate import Task, ask_all, measure, read_task
from retrieval.fusion import DENSE_WEIGHT, Fusion, Method, hybrid
from retrieval.index import DEPTH, Index
from retrieval.ingest.writer import IndexWriter
from retrieval.records import Scored
from retrieval.search import Search
from retrieval.storage.segments import Vectors
from retrieval.types import Extracted, Mode

RESULTS = Path(__file__).parents[1] / "results"
PICTURES = Path(__file__).parents[2] / "docs" / "retrieval"
MEASURES = ("Success@1", "Success@5", "Success@20")
PIECE = 256
GRID = [round(0.05 * step, 2) for step in range(21)]
REFERENCE = {
    "BM25": (69.4, 87.9, 94.7),
    "MiniLM": (64.8, 88.0, 96.8),
    "fusion 0.5": (74.6, 92.2, 97.7),
    "fusion 0.7": (76.9, 93.4, 98.0),
}
Found = dict[str, list[Scored]]
Ranked = dict[str, list[str]]


class CachedEncoder(Encoder):
    """An encoder that keeps the vectors of the benchmark's questions in a file."""

    def __init__(self, encoder: Encoder, path: Path, questions: Sequence[str]) -> None:
        super().__init__(encoder.id, encoder.folder)
        self._vectors_of = dict(zip(questions, self._kept(path, questions), strict=True))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """(n, dimension), from the file."""
        return np.stack([self._vectors_of[text] for text in texts])

    def _kept(self, path: Path, questions: Sequence[str]) -> Vectors:
        """The vectors of all questions; goes on from what an earlier run has kept."""
        kept: Vectors = (
            np.load(path) if path.exists() else np.empty((0, self.dimension), np.float32)
        )
        while len(kept) < len(questions):
            piece = super().encode_queries(questions[len(kept) : len(kept) + PIECE])
            kept = np.concatenate([kept, piece])
            np.save(path, kept)
            print(f"questions {len(kept)}/{len(questions)}", file=sys.stderr)
        return kept


def make_index(task: Task, path: Path, encoder: Encoder, titles: bool) -> None:
    """Complete the index of the task's paragraphs, a piece at a time."""
    with IndexWriter(path, encoder) as writer:
        for number, entry in enumerate(task.entries, start=1):
            if not writer.has(entry.id):
                title = entry.title if titles else ""
                writer.add(
                    entry.id, entry.id, Extracted(title, entry.text, (), "text/plain"), whole=True
                )
            if number % PIECE == 0:
                writer.commit()
                print(f"passages {number}/{len(task.entries)}", file=sys.stderr)
        writer.commit()


def found_by(index: Index, task: Task, mode: Mode) -> Found:
    return {
        query: [Scored(sys.intern(hit.passage_id), hit.score) for hit in hits]
        for query, hits in ask_all(index, task.queries, Search(DEPTH, mode))
    }


def ranked(found: Found) -> Ranked:
    return {query: [hit.passage_id for hit in hits] for query, hits in found.items()}


def fused(lexical: Found, dense: Found, weight: float) -> Ranked:
    """What the index's hybrid search gives with another weight."""
    fusion = Fusion(Method.CONVEX, weight)
    return {
        query: [hit.passage_id for hit in hybrid(lexical[query], dense[query], 20, fusion=fusion)]
        for query in lexical
    }


def accuracy(task: Task, found: Ranked, only: set[str] | None = None) -> tuple[float, ...]:
    """Percent of the questions (of the titles in `only`) whose paragraph is in the top 1, 5, 20."""
    qrels: Mapping[str, Mapping[str, int]] = {
        query: grades
        for query, grades in task.qrels.items()
        if only is None or next(iter(grades)).rsplit("#", 1)[0] in only
    }
    values = measure(qrels, {query: found[query] for query in qrels}, MEASURES)
    return tuple(round(values[name], 2) for name in MEASURES)


def table(rows: Mapping[str, Sequence[float]]) -> str:
    lines = ["| | top-1 | top-5 | top-20 |", "|---|---|---|---|"]
    for name, row in rows.items():
        digits = 1 if name.endswith("reference") else 2  # as it was given
        lines.append(f"| {name} | {' | '.join(f'{value:.{digits}f}' for value in row)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--tune", action="store_true", help="the weight grid on tuning articles")
    parser.add_argument("--titles", action="store_true", help="encode and index titles too")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    task = read_task(options.data)
    questions = list(task.queries.values())
    encoder = CachedEncoder(load_encoder(), options.cache / "questions.npy", questions)
    folder = options.cache / ("titles" if options.titles else "plain")
    make_index(task, folder, encoder, options.titles)
    index = Index.open(folder, encoder)
    lexical = found_by(index, task, Mode.BM25)
    dense = found_by(index, task, Mode.DENSE)
    if options.tune:
        tune(task, lexical, dense)
    else:
        report(task, index, lexical, dense, options.titles)


def tune(task: Task, lexical: Found, dense: Found) -> None:
    """The grid of weights on the tuning articles, and nothing else."""
    splits = json.loads((Path(__file__).parents[1] / "splits.json").read_text("utf-8"))
    only = set(splits["squad"]["tuning"])
    rows = {f"{w:.2f}": accuracy(task, fused(lexical, dense, w), only) for w in GRID}
    print(table(rows))


def report(task: Task, index: Index, lexical: Found, dense: Found, titles: bool) -> None:
    """The reference table's rows and our default, over every question; kept under results/."""
    default = fused(lexical, dense, DENSE_WEIGHT)
    sample = dict(list(task.queries.items())[:200])
    for query, hits in zip(sample, index.search_many(list(sample.values()), k=20), strict=True):
        assert [hit.passage_id for hit in hits] == default[query], query
    ours = {
        "BM25": accuracy(task, ranked(lexical)),
        "MiniLM": accuracy(task, ranked(dense)),
        "fusion 0.5": accuracy(task, fused(lexical, dense, 0.5)),
        "fusion 0.7": accuracy(task, fused(lexical, dense, 0.7)),
        f"default (fusion {DENSE_WEIGHT})": accuracy(task, default),
    }
    rows = ours  # the reference used no titles
    if not titles:
        rows = {name: row for key in ours for name, row in _pair(key, ours[key]).items()}
    print(table(rows))
    name = "retrieval_titles" if titles else "retrieval"
    write(name, table(rows), ours)


def _pair(name: str, row: tuple[float, ...]) -> dict[str, tuple[float, ...]]:
    """Our row, above the reference's where it has one."""
    pair = {name: row}
    return pair | {f"{name}, reference": REFERENCE[name]} if name in REFERENCE else pair


def write(name: str, shown: str, ours: Mapping[str, tuple[float, ...]]) -> None:
    RESULTS.mkdir(exist_ok=True)
    command = "python -m benchmarks.retrieval.bench_retrieval SQUAD_JSON --cache CACHE"
    command += " --titles" if name.endswith("titles") else ""
    today = datetime.date.today().isoformat()
    text = (
        f"# Retrieval on the SQuAD subset\n\n`{command}`\n\n{today}, two AVX2 cores, Python"
        f" {platform.python_version()}; 2,430 paragraphs, 11,877 questions; percent.\n\n"
        f"{shown}\n"
    )
    (RESULTS / f"{name}.md").write_text(text, "utf-8")
    content = {"command": command, "date": today, "machine": "two AVX2 cores", "accuracy": ours}
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
