"""Sources -> a new index, whole or not at all; a killed build goes on where it was."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.pipeline import BuildReport, Failure, Progress, add_sources
from retrieval.ingest.preparing import Start, prepare_here
from retrieval.ingest.sources import find_sources
from retrieval.ingest.writer import disk_errors
from retrieval.records import Chunker
from retrieval.storage.durable import rename
from retrieval.storage.store import FILE
from retrieval.storage.verify import verify_index
from retrieval.types import RetrievalError

__all__ = ["BuildReport", "Failure", "Progress", "add_sources", "build_index", "verify_index"]


def build_index(  # noqa: PLR0913 - one argument for each option
    sources: Sequence[Path],
    out: Path,
    *,
    encoder: Encoder | None,
    progress: Progress,
    resume: bool = False,
    chunker: Chunker | None = None,
    ocr: bool = False,
    strict: bool = False,
    preparing: Start = prepare_here,
) -> BuildReport:
    """Make the index `out`, in a folder beside it that is renamed when complete and verified.

    An unfinished build of `out` is continued; with `resume`, what a finished one lacks is added.
    With `ocr`, scanned PDF pages are read; with `strict`, what cannot be read is an error. Raises
    RetrievalError if `out` is there otherwise or OCR is not installed. If nothing becomes ready, no
    index is made. `preparing` says where documents are parsed and cut: here, or in a cluster.
    """
    found = find_sources(sources)
    if (out / FILE).is_file() and resume:
        return add_sources(
            out,
            found,
            encoder=encoder,
            progress=progress,
            ocr=ocr,
            strict=strict,
            preparing=preparing,
        )
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise RetrievalError(
            f"{out} is there already: use 'python -m app index add', or name another folder"
        )
    unfinished = building_folder(out)
    report = add_sources(
        unfinished,
        found,
        encoder=encoder,
        progress=progress,
        chunker=chunker,
        ocr=ocr,
        strict=strict,
        preparing=preparing,
    )
    if not report.ready:
        shutil.rmtree(unfinished)
        return report
    problems = verify_index(unfinished)
    if problems:
        raise RetrievalError(f"{unfinished} is damaged, delete it and build again: {problems[0]}")
    with disk_errors(out):
        rename(unfinished, out)
    return report


def building_folder(out: Path) -> Path:
    """Where the index `out` is while it is being built."""
    return out.absolute().with_name(f".{out.absolute().name}.building")
