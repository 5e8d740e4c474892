"""manifest.json: what an index folder says of itself to people and other tools.

`passages.db` decides; the manifest is written after each commit. A writer killed between the two
leaves it one commit behind, until the next writer.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from retrieval.storage.durable import write_file
from retrieval.storage.store import FORMAT, Store

FILE = "manifest.json"


def describe(store: Store) -> dict[str, Any]:
    """Format, generation, encoder, chunker, counts, and the checksums of the dense segments."""
    documents, passages, truncated = store.counts()
    encoder = store.encoder
    return {
        "format": FORMAT,
        "generation": store.generation,
        "encoder": asdict(encoder) if encoder else None,
        "chunker": asdict(store.chunker),
        "counts": {"documents": documents, "passages": passages, "truncated": truncated},
        "dense": [asdict(segment) for segment in store.segments()],
    }


def write_manifest(folder: Path, store: Store) -> None:
    """Write the manifest of the committed generation."""
    content = json.dumps(describe(store), indent=2, ensure_ascii=False) + "\n"
    write_file(folder / FILE, content.encode())


def renew_manifest(folder: Path, store: Store) -> None:
    """Write the manifest where a killed writer has not; nothing to say before the first commit."""
    generation = store.generation
    if generation and _written(folder / FILE) != generation:
        write_manifest(folder, store)


def _written(path: Path) -> int | None:
    """The generation that a manifest speaks of; None where there is none to be read."""
    try:
        found: int = json.loads(path.read_text("utf-8"))["generation"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found
