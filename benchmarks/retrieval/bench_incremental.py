"""What one document more or less costs an index that holds many.

    python -m benchmarks.retrieval.bench_incremental TEXTS [--passages 1000,10000,100000]
        [--width 384]
                                           [--rounds 7] [--folder DIR] [--json]

TEXTS are text files; the passages are made of their sentences, drawn at random, and their vectors
are drawn at random too: neither what storing costs nor what removing costs depends on their values,
and no time for encoding is counted. With --width 0 there are no vectors. Each round adds a document
of twenty passages, removes it again, and removes one out of the index's large segments, which have
to be written again; the index is opened and closed like a command does. Medians of seconds, of MB
read and written by system calls (Lucene reads by memory maps besides), and of the seconds that an
open reader needs to follow and to search again.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import numpy as np

from retrieval.encoders.encoder import Encoder, Progress, Vectors
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.sentences import sentence_spans
from retrieval.storage.verify import verify_index
from retrieval.types import Extracted, Mode

SENTENCES, NEW_PASSAGES, BATCH = 5, 20, 20_000
NEW = "new"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one change to an index of `passages`."""

    passages: int
    change: str
    seconds: float
    read_mb: float
    written_mb: float
    follow_s: float  # an open reader's refresh and first search


class DrawnVectors(Encoder):
    """In place of an encoder: unit vectors that have nothing to do with their texts."""

    def __init__(self, width: int) -> None:
        self.id = self.weight_hash = self.pooling = "drawn"
        self.dimension, self.max_tokens, self.normalized = width, 512, True
        self.title_separator = "\n"
        self._random = np.random.default_rng(0)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        return self.encode_passages([("", text) for text in texts])

    def encode_passages(
        self, pairs: Sequence[tuple[str, str]], progress: Progress | None = None
    ) -> Vectors:
        drawn = self._random.standard_normal((len(pairs), self.dimension), np.float32)
        made: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return made

    encode_corpus = encode_passages


def main() -> None:
    """Print a table, or with --json one object."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("texts", type=Path, nargs="+")
    parser.add_argument("--passages", default="1000,10000,100000")
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="for the indexes; a temporary one by default")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sentences = [sentence for path in options.texts for sentence in _sentences(path)]
    encoder = DrawnVectors(options.width) if options.width else None
    costs: list[Cost] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for count in map(int, options.passages.split(",")):
            path = Path(folder) / str(count)
            _build(path, encoder, sentences, count)
            costs += _costs(path, encoder, sentences, count, options.rounds)
            assert verify_index(path) == []
    if options.json:
        print(json.dumps({"width": options.width, "costs": [asdict(cost) for cost in costs]}))
    else:
        _print(costs)


def _sentences(path: Path) -> list[str]:
    text = path.read_text("utf-8", "replace")
    return [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]


def _drawn(random: Random, sentences: Sequence[str], passages: int) -> str:
    return " ".join(random.choices(sentences, k=SENTENCES * passages))


def _build(path: Path, encoder: Encoder | None, sentences: Sequence[str], count: int) -> None:
    random, started = Random(0), time.perf_counter()
    with IndexWriter(path, encoder) as writer:
        for n in range(count):
            text = Extracted("", _drawn(random, sentences, 1), (), "text/plain")
            writer.add(f"d{n}", f"{n}.txt", text, whole=True)
            if n % BATCH == BATCH - 1:
                writer.commit()
        writer.commit()
    print(f"{count} passages in {time.perf_counter() - started:.1f} s", file=sys.stderr)


def _costs(
    path: Path, encoder: Encoder | None, sentences: Sequence[str], count: int, rounds: int
) -> Iterator[Cost]:
    new = Extracted("", _drawn(Random(1), sentences, NEW_PASSAGES), (), "text/plain")
    reader = Index.open(path, encoder)
    old = (f"d{n}" for n in range(count // 2, count))
    changes: dict[str, Callable[[IndexWriter], object]] = {
        "add": lambda writer: writer.add(NEW, NEW, new),
        "remove it": lambda writer: writer.remove(NEW),
        "remove an old one": lambda writer: writer.remove(next(old)),
    }

    def measured(change: Callable[[IndexWriter], object]) -> tuple[float, ...]:
        before, started = _moved(), time.perf_counter()
        with IndexWriter(path, encoder) as writer:
            change(writer)
            writer.commit()
        seconds, after = time.perf_counter() - started, _moved()
        started = time.perf_counter()
        reader.refresh()
        _search(reader, sentences[0])
        follow = time.perf_counter() - started
        return seconds, (after[0] - before[0]) / 1e6, (after[1] - before[1]) / 1e6, follow

    _search(reader, sentences[0])
    turns = [{name: measured(change) for name, change in changes.items()} for _ in range(rounds)]
    reader.close()
    for name in changes:
        columns = zip(*(turn[name] for turn in turns), strict=True)
        yield Cost(count, name, *(statistics.median(column) for column in columns))


def _search(reader: Index, question: str) -> None:
    reader.search(question, mode=Mode.HYBRID)


def _moved() -> tuple[int, int]:
    """Bytes that this process has read and written by system calls."""
    lines = Path("/proc/self/io").read_text().splitlines()
    found = dict(line.split(": ") for line in lines)
    return int(found["rchar"]), int(found["wchar"])


def _print(costs: Sequence[Cost]) -> None:
    print("| passages | change | s | MB read | MB written | reader follows, s |")
    print("|---|---|---|---|---|---|")
    for cost in costs:
        print(
            f"| {cost.passages:,} | {cost.change} | {cost.seconds:.2f} | {cost.read_mb:.1f} |"
            f" {cost.written_mb:.1f} | {cost.follow_s:.3f} |"
        )


if __name__ == "__main__":
    main()
