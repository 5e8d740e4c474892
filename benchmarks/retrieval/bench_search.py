"""Searching and building at size: latency, throughput, recall against exact, and a build's time.

    python -m benchmarks.retrieval.bench_search ../shared/data --folder DIR
        [--passages 10000,100000,1000000] [--questions 200] [--kinds sq8,ivf,hnsw] [--write]

Passages are real sentences recombined, their vectors a static encoder's (`train static`), and the
questions those that people asked about SQuAD's paragraphs, whose sentences are among them. For each
size `index build` runs in a process of its own, whose peak of memory and seconds by stage are
shown; then questions are searched for one at a time and all together. Recall is the share of the
100 nearest by an exact search that the index's own search finds. With --kinds the same index is
given each kind of FAISS file in turn. Indexes are kept in DIR, outside the repository. The first
search of a size waits for the disk, so every question is asked twice and the second time counts.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.experiments.plots import Curve, Plot, Point, draw
from benchmarks.retrieval.bench_retrieval import PICTURES, RESULTS
from benchmarks.retrieval.made_corpus import questions_of, sentences_of, write_corpus
from retrieval.dense import DenseSearcher
from retrieval.encoders.encoder import Vectors, load_encoder
from retrieval.index import DEPTH, Index
from retrieval.ingest.reembed import change_ann
from retrieval.ingest.writer import DENSE
from retrieval.storage.ann import Kind
from retrieval.storage.store import Store
from retrieval.types import Mode

K = 10
MODES = (Mode.HYBRID, Mode.BM25, Mode.DENSE)
BUILD = """
import json, resource, sys
from pathlib import Path
from retrieval.encoders.encoder import load_encoder
from retrieval.ingest.build import build_index
corpus, out, model = sys.argv[1:]
report = build_index(
    [Path(corpus)], Path(out), encoder=load_encoder(model), progress=lambda *_: None
)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"passages": report.passages, "seconds": report.seconds, "peak_kb": peak}))
"""


@dataclass(frozen=True, slots=True)
class Searched:
    """How one index was searched; times in milliseconds."""

    kind: str
    hybrid: tuple[float, float]  # p50, p95
    bm25: tuple[float, float]
    dense: tuple[float, float]
    together: float  # questions a second, searched in one call
    recall: float
    file_mb: float  # of FAISS files


def static_encoder(folder: Path) -> str:
    """The static encoder of the packaged MiniLM, made where it is missing."""
    model = folder / "static"
    if not model.exists():
        run("-m", "app", "train", "static", "--out", str(model))
    return str(model)


def build(folder: Path, data: Path, count: int, model: str) -> dict[str, object]:
    """Build the index of `count` passages where it is missing; what the build said of itself."""
    out, said = folder / str(count), folder / f"{count}.json"
    if not said.exists():
        corpus = folder / "corpora" / f"{count}.jsonl"
        write_corpus(sentences_of(data), count, corpus)
        said.write_text(run("-c", BUILD, str(corpus), str(out), model), "utf-8")
        corpus.unlink()
    return dict(json.loads(said.read_text("utf-8")))


def run(*arguments: str) -> str:
    """The last line that a Python process prints."""
    found = subprocess.run(
        [sys.executable, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return found.stdout.strip().rpartition("\n")[2]


def search(path: Path, model: str, questions: Sequence[str]) -> Searched:
    """Time the index as it is, and hold its dense search against an exact one."""
    encoder = load_encoder(model)
    index = Index.open(path, encoder)
    try:
        times = [percentiles(index, mode, questions) for mode in MODES]
        started = time.perf_counter()
        index.search_many(questions, k=K)
        together = len(questions) / (time.perf_counter() - started)
    finally:
        index.close()
    store = Store.open(path)
    files = [segment.ann for segment in store.segments() if segment.ann]
    store.close()
    return Searched(
        "+".join(sorted({file.kind for file in files})) or "flat",
        times[0],
        times[1],
        times[2],
        together,
        recall(path, encoder.encode_queries(questions)),
        sum((path / DENSE / file.name).stat().st_size for file in files) / 1e6,
    )


def percentiles(index: Index, mode: Mode, questions: Sequence[str]) -> tuple[float, float]:
    """The 50th and 95th percentile of milliseconds, of the second time each question is asked."""
    taken = []
    for question in questions:
        index.search(question, k=K, mode=mode)
        started = time.perf_counter()
        index.search(question, k=K, mode=mode)
        taken.append(1_000 * (time.perf_counter() - started))
    cuts = statistics.quantiles(taken, n=20, method="inclusive")
    return cuts[9], cuts[18]


def recall(path: Path, vectors: Vectors) -> float:
    """The share of the exact search's DEPTH best that the index's search finds."""
    store = Store.open(path)
    segments = store.segments()
    store.close()
    plain = [type(s)(s.name, s.rows, s.sha256) for s in segments]
    right = DenseSearcher(path / DENSE, plain, {}).search(vectors, DEPTH)
    found = DenseSearcher(path / DENSE, segments, {}).search(vectors, DEPTH)
    shares = [
        len({row for row, _ in a} & {row for row, _ in b}) / len(a)
        for a, b in zip(right, found, strict=True)
    ]
    return statistics.fmean(shares)


def built_table(reports: dict[int, dict[str, object]]) -> str:
    """Passages a second by stage, each stage's share of the time, and the peak of memory."""
    lines = ["| passages | stage | passages/s | share |", "|---|---|---|---|"]
    for count, report in reports.items():
        seconds = dict(report["seconds"])  # type: ignore[call-overload]
        total = seconds.pop("total")
        for stage, taken in [*seconds.items(), ("all", total)]:
            share = f"{100 * taken / total:.0f} %"
            lines.append(f"| {count:,} | {stage} | {count / max(taken, 1e-9):,.0f} | {share} |")
        lines.append(f"| {count:,} | peak of memory | {report['peak_kb'] / 2**20:.2f} GiB | |")  # type: ignore[operator]
    return "\n".join(lines)


def searched_table(rows: Sequence[tuple[int, Searched]]) -> str:
    """Latency as p50 / p95 in milliseconds."""
    lines = [
        "| passages | kind | hybrid | BM25 | dense | together | recall@100 | FAISS files |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count, s in rows:
        times = (f"{p50:.1f} / {p95:.1f} ms" for p50, p95 in (s.hybrid, s.bm25, s.dense))
        lines.append(
            f"| {count:,} | {s.kind} | {' | '.join(times)} | {s.together:.0f}/s |"
            f" {s.recall:.4f} | {s.file_mb:.0f} MB |"
        )
    return "\n".join(lines)


def picture(rows: Sequence[tuple[int, Searched]]) -> bytes:
    """How long 95 of 100 hybrid searches take at most, by size and kind."""
    best: dict[str, dict[int, float]] = {}
    for count, row in rows:
        known = best.setdefault(row.kind, {})
        known[count] = min(row.hybrid[1], known.get(count, row.hybrid[1]))
    curves = tuple(
        Curve(kind, tuple(Point(*at) for at in sorted(found.items())), colour)
        for colour, (kind, found) in enumerate(best.items())
    )
    return draw(Plot("search", "Hybrid search, 95th percentile", "passages", "ms", curves))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--folder", type=Path, required=True, help="for indexes and the encoder")
    parser.add_argument("--passages", default="10000,100000,1000000")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--kinds", default="", help="try these kinds of FAISS files too")
    parser.add_argument("--write", action="store_true", help="keep the tables in results/search.md")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    model = static_encoder(options.folder)
    questions = questions_of(options.data, options.questions)
    reports, rows = {}, []
    for count in map(int, options.passages.split(",")):
        path = options.folder / str(count)
        reports[count] = build(options.folder, options.data, count, model)
        rows.append((count, search(path, model, questions)))
        for kind in filter(None, options.kinds.split(",")):
            started = time.perf_counter()
            change_ann(path, Kind(kind))
            taken = time.perf_counter() - started
            print(f"{count}: {kind} files in {taken:.1f} s", file=sys.stderr)
            found = search(path, model, questions)
            if (count, found.kind) not in [(size, one.kind) for size, one in rows]:
                rows.append((count, found))  # a small index keeps no files of any kind
        if options.kinds:
            change_ann(path, None)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    shown = [
        built_table(reports),
        searched_table(rows),
        f"{os.cpu_count()} cores; the searching process took {peak:.2f} GiB at most, the mapped"
        " pages of vectors among them.",
    ]
    print("\n\n".join(shown))
    if options.write:
        kinds = f" --kinds {options.kinds}" if options.kinds else ""
        command = f"`python -m benchmarks.retrieval.bench_search DATA --folder DIR{kinds}`"
        head = f"# Searching and building at size\n\n{command}; made passages, static vectors"
        (RESULTS / "search.md").write_text("\n\n".join([head, *shown]) + "\n", "utf-8")
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / "search.png").write_bytes(picture(rows))


if __name__ == "__main__":
    main()
