"""What large collections would need, calculated from two builds that were measured.

    python -m benchmarks.retrieval.bench_search ../shared/data --folder DIR --passages 10000,60000
    python -m benchmarks.retrieval.scaling DIR 10000 60000

Bytes and seconds a passage are the larger build's less the smaller's, so that starting a JVM and
loading a model do not count. Vectors are calculated for a dimension, not taken from the static
encoder's.
"""

import argparse
import json
from pathlib import Path

SIZES = {"DPR's Wikipedia": 21_015_324, "a billion": 1_000_000_000}
DIMENSION = 384  # MiniLM
ROW, LISTED = 8, 8  # bytes of a row number in a segment, and of a place in a FAISS list
STAGES = ("parse", "chunk", "store", "lucene", "vectors")


def bytes_under(path: Path) -> int:
    """Of a file, or of all files of a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())


def a_passage(folder: Path, small: int, large: int) -> tuple[dict[str, float], dict[str, float]]:
    """Bytes by store, and seconds by stage, of one more passage."""
    more = large - small
    sizes = {
        part: (bytes_under(folder / str(large) / part) - bytes_under(folder / str(small) / part))
        / more
        for part in ("passages.db", "lucene")
    }
    sizes["vectors, float32"] = 4 * DIMENSION + ROW
    sizes["FAISS, IVF or SQ8"] = DIMENSION + LISTED
    reports = [json.loads((folder / f"{n}.json").read_text("utf-8")) for n in (small, large)]
    seconds = {
        stage: (reports[1]["seconds"][stage] - reports[0]["seconds"][stage]) / more
        for stage in (*STAGES, "encode")
    }
    return sizes, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, help="what bench_search was given")
    parser.add_argument("small", type=int)
    parser.add_argument("large", type=int)
    options = parser.parse_args()
    sizes, seconds = a_passage(options.folder, options.small, options.large)
    print(f"| | a passage | {' | '.join(SIZES)} |\n|---|---|---|---|")
    for part, size in [*sizes.items(), ("all", sum(sizes.values()))]:
        totals = " | ".join(f"{size * count / 1e9:,.0f} GB" for count in SIZES.values())
        print(f"| {part} | {size:,.0f} bytes | {totals} |")
    for stage, taken in seconds.items():
        totals = " | ".join(f"{taken * count / 3600:,.1f} h" for count in SIZES.values())
        print(f"| {stage} | {1 / taken:,.0f} passages/s | {totals} |")


if __name__ == "__main__":
    main()
