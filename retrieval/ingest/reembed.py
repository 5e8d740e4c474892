"""Another encoder for an index in place: new vectors beside the old ones, then one commit.

Until `passages.db` commits, the index is the old one; the vectors made so far are listed in a file,
so that a stopped run goes on from them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.writer import DENSE, LUCENE, IndexWriter, Progress, disk_errors
from retrieval.lexical.bm25_writer import Bm25Writer
from retrieval.records import EncoderInfo, Segment, titled
from retrieval.storage.ann import Kind, update_ann, wanted
from retrieval.storage.durable import delete_unfinished, write_file
from retrieval.storage.lock import WriterLock
from retrieval.storage.manifest import write_manifest
from retrieval.storage.segments import delete_unused, update_segments
from retrieval.storage.store import Store

PIECE = 1_000  # passages between two saved states: about a minute on a laptop
STATE = "reembedding.json"
NOBODY = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class _State:
    """How far a run is: vectors of all passages up to `row` are in `segments`."""

    generation: int
    encoder: EncoderInfo
    row: int
    segments: tuple[Segment, ...]

    @classmethod
    def begin(cls, folder: Path, generation: int, encoder: EncoderInfo) -> "_State":
        """Where a run stopped that made the same vectors of the same passages; else the start."""
        fresh = cls(generation, encoder, 0, ())
        path = folder / STATE
        if not path.exists():
            return fresh
        found = json.loads(path.read_text("utf-8"))
        segments = tuple(Segment(**segment) for segment in found["segments"])
        same = found["generation"] == generation and EncoderInfo(**found["encoder"]) == encoder
        whole = all((folder / DENSE / segment.name).is_file() for segment in segments)
        if not (same and whole):
            return fresh
        return cls(generation, encoder, found["row"], segments)

    def save(self, folder: Path) -> None:
        write_file(folder / STATE, json.dumps(asdict(self)).encode())


def reembed(path: Path, encoder: Encoder | None, progress: Progress | None = None) -> int:
    """Give the index in `path` the vectors of another encoder, or none; returns the generation.

    Passages stay as they were cut. `progress` hears (done, total) passages. Raises RetrievalError
    as a writer would; an index that has these vectors already is left as it is.
    """
    with _locked(path) as store, disk_errors(path):
        info = encoder.info if encoder else None
        if not _same(store.encoder, info):
            segments = _encode_all(path, store, encoder, progress) if encoder else ()
            store.set_encoder(info, _truncated(store, encoder) if encoder else {})
            return _commit(path, store, segments)
        (path / STATE).unlink(missing_ok=True)
    with IndexWriter(path, encoder) as writer:  # clears what a run killed after its commit left
        return writer.generation


def change_ann(path: Path, kind: Kind | None) -> int:
    """Search an index's vectors by this kind of FAISS file from now on; returns the generation.

    With None, size and memory choose. Raises RetrievalError as a writer would.
    """
    with _locked(path) as store, disk_errors(path):
        store.set_ann_kind(kind)
        return _commit(path, store, store.segments())


@contextmanager
def _locked(path: Path) -> Iterator[Store]:
    Store.open(path).close()  # a folder that is no index is not made one by the lock
    lock = WriterLock(path)
    try:
        store = Store.open(path, writable=True)
        try:
            delete_unfinished(path)
            yield store
        finally:
            store.close()
    finally:
        lock.release()


def _same(built: EncoderInfo | None, ours: EncoderInfo | None) -> bool:
    if built is None or ours is None:
        return built is ours
    return built.makes_vectors_of(ours)


def _encode_all(
    path: Path, store: Store, encoder: Encoder, progress: Progress | None
) -> tuple[Segment, ...]:
    """Vectors of every passage in new segments, a piece at a time."""
    state = _State.begin(path, store.generation, encoder.info)
    total = store.counts()[1]
    done = sum(segment.rows for segment in state.segments)
    while piece := store.placed_after(state.row, PIECE):
        rows = np.array([passage.row for passage in piece], np.int64)
        vectors = encoder.encode_corpus([(passage.title, passage.text) for passage in piece])
        segments = update_segments(path / DENSE, state.segments, (rows, vectors), NOBODY)
        state = replace(state, row=piece[-1].row, segments=tuple(segments))
        state.save(path)
        done += len(piece)
        if progress:
            progress(done, total)
    return state.segments


def _truncated(store: Store, encoder: Encoder) -> dict[str, int]:
    """By document, how many of its passages the encoder does not read to their end."""
    found: dict[str, int] = {}
    row = 0
    while piece := store.placed_after(row, PIECE):
        texts = [titled(p.title, p.text, encoder.title_separator) for p in piece]
        for passage, whole in zip(piece, encoder.reads_whole(texts), strict=True):
            if not whole:
                found[passage.document_id] = found.get(passage.document_id, 0) + 1
        row = piece[-1].row
    return found


def _commit(path: Path, store: Store, vectors: Sequence[Segment]) -> int:
    """Make these vectors the index's, in a writer's order: Lucene, then SQLite, which decides."""
    generation = store.generation + 1
    dimension = store.encoder.dimension if store.encoder else 0
    segments = update_ann(path / DENSE, vectors, wanted(store.ann_kind, vectors, dimension))
    bm25 = Bm25Writer(path / LUCENE, store.generation)
    try:
        store.set_segments(segments)
        bm25.commit(generation)
        store.commit(generation)  # from here on the new generation is the index
        bm25.forget_previous()
        (path / STATE).unlink(missing_ok=True)
        if (path / DENSE).is_dir():
            delete_unused(path / DENSE, segments)
        write_manifest(path, store)
    finally:
        bm25.close()
    return generation
