"""index vectors: how an index's vectors are searched."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Way(StrEnum):
    """Kinds of FAISS files, as in retrieval/storage/ann.py, or a choice by size and memory."""

    AUTO = "auto"
    FLAT = "flat"
    SQ8 = "sq8"
    IVF = "ivf"
    HNSW = "hnsw"


def register(group: typer.Typer) -> None:
    """Add the command to the group `index`."""
    group.command()(vectors)


def vectors(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An index folder.")],
    kind: Annotated[Way, typer.Option(help="What searches them; auto goes by size and memory.")],
) -> None:
    """Change how an index's vectors are searched; they stay, and scores are always exact.

    flat reads every vector, the others less and may miss a few (docs/indexes.md).
    """
    from app.console import say
    from retrieval.ingest.reembed import change_ann
    from retrieval.storage.ann import Kind

    change_ann(folder, None if kind is Way.AUTO else Kind(kind))
    say(f"the vectors of {folder} are now searched by: {kind}")
