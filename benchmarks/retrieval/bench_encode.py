"""Encoders of passages side by side: how many a second, and what each costs in nDCG@10.

    python -m benchmarks.retrieval.bench_encode ../shared/data --cache CACHE [--passages 256]
        [--rounds 5]
                                      [--processes 2] [--loss] [--write]

Speed: the same drawn passages of cranfield and SQuAD's tuning articles go in turn through

- `encode`, the plain call of sentence-transformers, which sorts by length already;
- `encode`, in two processes of its own pool (`--processes`);
- what `index build` does without an extra: float32, longest first over everything;
- what it does with the extra `fast`: int8 by CTranslate2, a text for each core;
- the static encoder (`train static`);

and medians are shown. The floor is the time of MiniLM's products alone, at the rate that one large
float32 product reaches here, for the tokens there are; nothing in float32 can be faster. Products
of bytes take at least half the time of float32's here, as they need three instructions for what
VNNI does in one; the figure for a CPU with VNNI is a calculation from that.

--loss: nDCG@10 of dense search alone, passages encoded by each, questions in float32 (static ones
by the static encoder): all of cranfield, and 1,000 questions of SQuAD's tuning articles. It encodes
3,100 passages twice: minutes.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.retrieval.bench_retrieval import RESULTS
from benchmarks.retrieval.bench_search import static_encoder
from benchmarks.retrieval.prepared import SPLITS, SQUAD, squad_queries
from jamba.training.train import gemm_rate
from retrieval.encoders.encoder import Encoder, Vectors, load_encoder
from retrieval.evaluation.evaluate import measure, read_task
from retrieval.evaluation.tasks import Task

MEASURE = "nDCG@10"
QUESTIONS = 1_000  # of SQuAD's tuning articles
INT8_GAIN, VNNI_GAIN = 2.0, 3.0  # of byte products here over float32, and of VNNI's over these
PLAIN, INT8, THREADS = "plain encode", "int8, as index build", "OMP_NUM_THREADS"
Encode = Callable[[Sequence[str]], Any]


@dataclass(frozen=True, slots=True)
class Shape:
    """What decides the work of a BERT."""

    layers: int
    hidden: int
    inner: int

    def flops(self, tokens: Sequence[int]) -> float:
        """Operations of all matrix products for texts of so many tokens."""
        weights = 4 * self.hidden**2 + 2 * self.hidden * self.inner
        each = (2 * weights * n + 4 * self.hidden * n**2 for n in tokens)
        return float(self.layers * sum(each))


def tuning_task(data: Path, name: str) -> Task:
    """Cranfield whole; of SQuAD the passages and some questions of the tuning articles."""
    if name != SQUAD:
        return read_task(data / "retrieval" / name)
    task = read_task(data / "qa" / "squad_v1.1_subset.json")
    titles = set(SPLITS[SQUAD]["tuning"])
    asked = Random(3).sample(squad_queries(task, "tuning"), QUESTIONS)
    entries = tuple(entry for entry in task.entries if entry.id.rsplit("#", 1)[0] in titles)
    return Task(
        entries,
        {query: task.queries[query] for query in asked},
        {query: task.qrels[query] for query in asked},
    )


def passages_of(task: Task) -> list[tuple[str, str]]:
    return [(entry.title, entry.text) for entry in task.entries]


@contextmanager
def ways(encoder: Encoder, static: Encoder, processes: int) -> Iterator[dict[str, Encode]]:
    """Every way to encode, by its name; the first is what the others are compared with."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(encoder.folder), device="cpu", local_files_only=True)

    def pairs(texts: Sequence[str]) -> list[tuple[str, str]]:
        return [("", text) for text in texts]

    def plain(texts: Sequence[str], **options: Any) -> Any:
        return model.encode(list(texts), show_progress_bar=False, **options)

    found: dict[str, Encode] = {
        PLAIN: plain,
        "float32, as index build": lambda texts: encoder.encode_passages(pairs(texts)),
        "static": lambda texts: static.encode_passages(pairs(texts)),
    }
    if encoder.in_int8():
        found[INT8] = lambda texts: encoder.encode_corpus(pairs(texts))
    if processes < 2:
        yield found
        return
    with one_thread_each():
        pool = model.start_multi_process_pool(["cpu"] * processes)
    found[f"{PLAIN}, {processes} processes"] = lambda texts: plain(texts, pool=pool, chunk_size=32)
    try:
        yield found
    finally:
        model.stop_multi_process_pool(pool)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Processes started meanwhile use one thread."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = "1"
    yield
    if before is None:
        del os.environ[THREADS]
    else:
        os.environ[THREADS] = before


def alternate(ways: Mapping[str, Encode], texts: Sequence[str], rounds: int) -> dict[str, float]:
    """The median seconds of each way, run in turn so that a busy moment strikes all."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for encode in ways.values():
        encode(texts[:32])  # loads, converts
    for _ in range(rounds):
        for name, encode in ways.items():
            began = time.perf_counter()
            encode(texts)
            taken[name].append(time.perf_counter() - began)
        print({name: f"{each[-1]:.1f} s" for name, each in taken.items()}, file=sys.stderr)
    return {name: statistics.median(each) for name, each in taken.items()}


def speed(
    data: Path, encoder: Encoder, found: Mapping[str, Encode], passages: int, rounds: int
) -> str:
    """The table of rates, with the floor and the calculation for VNNI."""
    from transformers import AutoConfig

    drawn = [
        f"{title}\n{text}".strip()
        for name in ("cranfield", SQUAD)
        for title, text in passages_of(tuning_task(data, name))
    ]
    texts = Random(5).sample(drawn, min(passages, len(drawn)))
    seconds = alternate(found, texts, rounds)
    config = AutoConfig.from_pretrained(encoder.folder)
    shape = Shape(config.num_hidden_layers, config.hidden_size, config.intermediate_size)
    longest = (encoder.max_tokens or 0) + 2
    tokens = [min(n + 2, longest) for n in encoder.count_tokens(texts)]
    floor = shape.flops(tokens) / gemm_rate(1.0)
    lines = ["| | passages/s | times plain |", "|---|---|---|"]
    rows = {**seconds, "floor of float32 products": floor}
    if INT8 in seconds:
        products = min(seconds[INT8], floor / INT8_GAIN)
        rows["int8 with VNNI (calculation)"] = seconds[INT8] - products * (1 - 1 / VNNI_GAIN)
    for name, taken in rows.items():
        lines.append(f"| {name} | {len(texts) / taken:.1f} | {seconds[PLAIN] / taken:.2f} |")
    lines.append("")
    lines.append(
        f"{len(texts)} passages, {sum(tokens) / len(tokens):.0f} tokens each,"
        f" {shape.flops(tokens) / len(texts) / 1e9:.2f} GFLOP each"
    )
    return "\n".join(lines)


def loss(data: Path, encoder: Encoder, static: Encoder) -> str:
    """nDCG@10 of dense search by passages' vectors made in each way."""
    lines = ["| | cranfield | SQuAD tuning |", "|---|---|---|"]
    tasks = [tuning_task(data, name) for name in ("cranfield", SQUAD)]
    kinds: dict[str, tuple[Callable[..., Vectors], Encoder]] = {
        "float32": (encoder.encode_passages, encoder),
        "int8": (encoder.encode_corpus, encoder),
        "static": (static.encode_passages, static),
    }
    if not encoder.in_int8():
        del kinds["int8"]
    for name, (encode, asking) in kinds.items():
        figures = [ndcg(task, encode(passages_of(task)), asking) for task in tasks]
        lines.append(f"| {name} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
        print(lines[-1], file=sys.stderr)
    return "\n".join(lines)


def ndcg(task: Task, vectors: Vectors, asking: Encoder) -> float:
    """In percent, exactly searched."""
    queries = list(task.queries)
    scores = asking.encode_queries([task.queries[query] for query in queries]) @ vectors.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    ids = [entry.id for entry in task.entries]
    ranked = {q: [ids[i] for i in row] for q, row in zip(queries, best, strict=True)}
    return measure(task.qrels, ranked, (MEASURE,))[MEASURE]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="for the static encoder")
    parser.add_argument("--passages", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2, help="of sentence-transformers' pool")
    parser.add_argument("--loss", action="store_true", help="nDCG@10 too")
    parser.add_argument("--write", action="store_true", help="keep the tables in results/encode.md")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    encoder, static = load_encoder(), load_encoder(static_encoder(options.cache))
    with ways(encoder, static, options.processes) as found:
        shown = [speed(options.data, encoder, found, options.passages, options.rounds)]
    if options.loss:
        shown.append(loss(options.data, encoder, static))
    print("\n\n".join(shown))
    if options.write:
        command = "`python -m benchmarks.retrieval.bench_encode DATA --cache CACHE --loss`"
        head = f"# Encoding passages on a CPU\n\n{command}"
        (RESULTS / "encode.md").write_text("\n\n".join([head, *shown]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
