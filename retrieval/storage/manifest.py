"""manifest.json: what an index folder says of itself to people and other tools.

`passages.db` decides; the manifest is written last, when nothing is left of the commit before. A
writer killed between the two leaves it one commit behind, until the next writer.
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


def is_current(folder: Path, store: Store) -> bool:
    """Whether the last writer came to its end; there is no manifest before the first commit."""
    generation = store.generation
    try:
        found = json.loads((folder / FILE).read_text("utf-8"))["generation"]
    except (OSError, ValueError, KeyError, TypeError):
        return generation == 0
    return bool(found == generation)
