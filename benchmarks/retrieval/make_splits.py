"""Write benchmarks/splits.json: what is tuned on, and what is only reported on.

    python benchmarks/retrieval/make_splits.py ../shared/data

Everything is decided by SHA-256 of titles and query ids, so that anyone can make the file again.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

REPORTING_ARTICLES = 12
CALIBRATION_ARTICLES = 2
FOLDS = 5
COLLECTIONS = ("cranfield", "cacm", "med", "vaswani")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def titles(path: Path) -> list[str]:
    return sorted({a["title"] for a in json.loads(path.read_text("utf-8"))["data"]}, key=digest)


def squad(path: Path) -> dict[str, list[str]]:
    """The first 12 titles by hash are reporting, the rest tuning.

    The last two of those are for calibration: nothing that is trained on tuning articles sees them.
    """
    ordered = titles(path)
    return {
        "reporting": sorted(ordered[:REPORTING_ARTICLES]),
        "tuning": sorted(ordered[REPORTING_ARTICLES:]),
        "calibration": sorted(ordered[-CALIBRATION_ARTICLES:]),
    }


def policyqa(path: Path) -> dict[str, list[str]]:
    """Half of the policies, by the hash of their title, are reporting, the other half tuning."""
    ordered = titles(path)
    half = len(ordered) // 2
    return {"reporting": sorted(ordered[:half]), "tuning": sorted(ordered[half:])}


def folds(path: Path) -> list[list[str]]:
    """Query ids by the hash of the id, modulo the number of folds."""
    with open(path, encoding="utf-8") as file:
        ids = [json.loads(line)["_id"] for line in file if line.strip()]
    result: list[list[str]] = [[] for _ in range(FOLDS)]
    for query_id in ids:
        result[int(digest(query_id), 16) % FOLDS].append(query_id)
    return result


def main(data: Path) -> None:
    splits: dict[str, Any] = {
        "squad": squad(data / "qa" / "squad_v1.1_subset.json"),
        "policyqa": policyqa(data / "qa" / "policyqa_dev.json"),
        "folds": {c: folds(data / "retrieval" / c / "queries.jsonl") for c in COLLECTIONS},
    }
    target = Path(__file__).parents[1] / "splits.json"
    target.write_text(json.dumps(splits, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(f"wrote {target}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
