"""Lucene's share of a build against Pyserini's own command-line indexer, on the same JSONL.

    python -m benchmarks.retrieval.bench_lucene ../shared/data [--passages 100000] [--rounds 3]
        [--threads 2]

Both read the same made passages (`made_corpus.py`) from one JSONL file and index them with the same
analyzer, nothing stored; each round runs ours and theirs in processes of their own, in turn, and
medians are shown. The seconds count from when the process has its JVM to the end of the commit.
Theirs is `IndexCollection`, which `python -m pyserini.index.lucene` calls; that module itself does
not start on the JRE that pip installs (docs/decisions.md), so the class is called in our JVM.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.retrieval.made_corpus import made_passages, sentences_of

OURS = """
import json, sys, time
from pathlib import Path
from retrieval.lexical.bm25_writer import Bm25Writer, Entry
source, out, threads = sys.argv[1:]
writer = Bm25Writer(Path(out), None)
started = time.perf_counter()
with open(Path(source) / "passages.jsonl", encoding="utf-8") as file:
    for line in file:
        found = json.loads(line)
        writer.add([Entry(found["id"], found["id"], "", found["contents"])])
writer.commit(1)
print(time.perf_counter() - started)
"""
THEIRS = """
import sys, time
from retrieval.lexical.jvm import java, on_java_thread
source, out, threads = sys.argv[1:]
arguments = ["-collection", "JsonCollection", "-input", source, "-index", out,
             "-generator", "DefaultLuceneDocumentGenerator", "-threads", threads]
@on_java_thread
def started(): return java("io.anserini.index.IndexCollection")
@on_java_thread
def index(indexer): indexer.main(arguments)
indexer = started()
began = time.perf_counter()
index(indexer)
print(time.perf_counter() - began)
"""


def seconds(code: str, source: Path, threads: int) -> float:
    """What a process of its own says that it took."""
    with tempfile.TemporaryDirectory(dir=source.parent) as out:
        command = [sys.executable, "-c", code, str(source), f"{out}/index", str(threads)]
        found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return float(found.stdout.strip().rpartition("\n")[2])


def write_source(data: Path, count: int, folder: Path) -> None:
    """A folder with one JSONL file, as Anserini's JsonCollection reads it."""
    folder.mkdir()
    with open(folder / "passages.jsonl", "w", encoding="utf-8") as file:
        for n, text in enumerate(made_passages(sentences_of(data), count)):
            file.write(json.dumps({"id": f"d{n}", "contents": text}) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="of theirs")
    options = parser.parse_args()
    taken: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        write_source(options.data, options.passages, source)
        for _ in range(options.rounds):
            taken["ours"].append(seconds(OURS, source, options.threads))
            taken["theirs"].append(seconds(THEIRS, source, options.threads))
    for name, values in taken.items():
        rate = options.passages / statistics.median(values)
        print(f"{name}: {rate:,.0f} passages/s ({', '.join(f'{v:.1f}' for v in values)} s)")


if __name__ == "__main__":
    main()
