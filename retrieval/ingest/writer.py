"""Adding documents to an index and removing them, with one commit point.

A commit writes vectors, then Lucene's commit, then SQLite's, which decides; only after that are the
previous vectors and the previous Lucene commit deleted. A process killed anywhere leaves either the
previous index or the new one, and the next writer clears what it left behind.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.prepare import Prepared, Preparer
from retrieval.ingest.stopwatch import Stopwatch
from retrieval.lexical.bm25_writer import Bm25Writer, Entry
from retrieval.records import Chunker, EncoderInfo
from retrieval.storage.ann import update_ann, wanted
from retrieval.storage.durable import delete_unfinished
from retrieval.storage.lock import WriterLock
from retrieval.storage.manifest import is_current, write_manifest
from retrieval.storage.segments import Rows, Vectors, delete_unused, update_segments
from retrieval.storage.store import FILE, Store
from retrieval.types import Extracted, IndexMismatch, RetrievalError

LUCENE, DENSE = "lucene", "dense"
Progress = Callable[[int, int], None]
Vector = NDArray[np.float32]  # (d,)


class IndexWriter:
    """Writes one index folder, made if absent; a context manager. Nothing shows before `commit`.

    Without an encoder the index has no dense part. Raises IndexBusy while another writer has the
    folder, and IndexMismatch if the index was made with another encoder. After a change that
    failed, on a full disk for one, it takes no other: close it and open another.
    """

    def __init__(
        self, path: Path, encoder: Encoder | None, *, chunker: Chunker | None = None
    ) -> None:
        self.path = path
        self._encoder = encoder
        self._removed: list[int] = []
        self._made: dict[int, Vector] = {}  # by row, of passages since the last commit
        self._changed = self._failed = self._unpurged = False
        self.clock = Stopwatch()
        with ExitStack() as undo, disk_errors(path):
            self._lock = WriterLock(path)
            undo.callback(self._lock.release)
            self._store, self._bm25 = self._open(chunker)
            undo.callback(self._store.close)
            undo.callback(self._bm25.close)
            self.preparer = Preparer(encoder, self._store.chunker)
            self.generation = self._store.generation
            self._committed_row = self._store.last_row()
            self._clear_leftovers()
            self._opened = undo.pop_all()

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let others write; changes since the last commit are forgotten."""
        self._opened.close()

    def has(self, document_id: str) -> bool:
        """Whether the document is in the index, committed or not."""
        return self._store.has(document_id)

    def find(self, named: str) -> list[str]:
        """Ids of the documents with this id or name; raises RetrievalError if there is none."""
        found = self._store.find(named)
        if not found:
            raise RetrievalError(f"{self.path} holds no document with the id or name {named}")
        return found

    def passages(self) -> int:
        """How many passages the index holds, committed or not."""
        return self._store.counts()[1]

    def add(self, document_id: str, name: str, extracted: Extracted, *, whole: bool = False) -> int:
        """Add a document, in place of one with the same id; returns how many passages it has.

        With `whole` the document is one passage and its id the passage's; otherwise passage n, from
        0, has the id `document_id#n`.
        """
        with self.clock.running("chunk"):
            document = self.preparer.prepare(document_id, name, extracted, whole=whole)
        return self.put(document)

    def put(self, document: Prepared) -> int:
        """Add a document that is cut already, as `add` would."""
        extracted = document.extracted
        with self._change():
            self._remove(document.id)
            with self.clock.running("store"):
                self._store.add(
                    *(document.id, document.name, extracted),
                    *(document.passages, document.truncated),
                )
            with self.clock.running("lucene"):
                self._bm25.add(
                    Entry(p.id, document.id, extracted.title, extracted.text[p.start : p.end])
                    for p in document.passages
                )
        if document.vectors is not None:
            first = self._store.last_row() - len(document.vectors) + 1
            self._made.update(enumerate(document.vectors, start=first))
        return len(document.passages)

    def remove(self, document_id: str) -> None:
        """Remove a document; after the commit none of its words is left in the folder."""
        if self._store.has(document_id):
            with self._change():
                self._remove(document_id)

    def rename(self, document_id: str, name: str) -> None:
        """Give a document another name; its passages and its title stay."""
        with self._change():
            self._store.rename(document_id, name)

    def commit(self, progress: Progress | None = None) -> int:
        """Make all changes since the last commit durable and visible; returns the generation.

        Encoding, which takes the time, happens here; `progress` hears (done, total) passages.
        """
        if not self._changed:
            return self.generation
        with self._change():
            if self._encoder:
                removed = np.array(self._removed, np.int64)
                with self.clock.running("encode"):
                    added = self._encoded(self._encoder, progress)
                with self.clock.running("vectors"):
                    folder, old = self.path / DENSE, self._store.segments()
                    dense = update_segments(folder, old, added, removed)
                    kind = wanted(self._store.ann_kind, dense, self._encoder.dimension)
                    self._store.set_segments(update_ann(folder, dense, kind))
            with self.clock.running("lucene"):
                self._bm25.commit(self.generation + 1)
            with self.clock.running("store"):
                self._store.commit(self.generation + 1)  # from here on this generation is the index
                self.generation += 1
            self._bm25.forget_previous()
            self._delete_unused_vectors()
            if self._unpurged:
                with self.clock.running("store"):
                    self._store.purge()
            write_manifest(self.path, self._store)
        self._committed_row = self._store.last_row()
        self._removed, self._made = [], {}
        self._changed = self._unpurged = False
        return self.generation

    def _open(self, chunker: Chunker | None) -> tuple[Store, Bm25Writer]:
        encoder = self._encoder.info if self._encoder else None
        with ExitStack() as undo:
            if not (self.path / FILE).exists():
                bm25 = Bm25Writer(self.path / LUCENE, None)
                undo.callback(bm25.close)
                store = Store.create(self.path, encoder, chunker or Chunker())
            else:
                store = Store.open(self.path, writable=True)
                undo.callback(store.close)
                check_encoder(self.path, store.encoder, encoder)
                if chunker and chunker != store.chunker:
                    raise IndexMismatch(f"{self.path} was cut by {store.chunker}, not {chunker}")
                bm25 = Bm25Writer(self.path / LUCENE, store.generation)
            undo.pop_all()
        return store, bm25

    @contextmanager
    def _change(self) -> Iterator[None]:
        """A change of several parts, which may differ once it has failed: nothing follows it."""
        if self._failed:
            raise RetrievalError(f"{self.path}: an earlier change failed; open the index again")
        self._failed = self._changed = True
        with disk_errors(self.path):
            yield
        self._failed = False

    def _remove(self, document_id: str) -> None:
        if self._store.has(document_id):
            self._unpurged = True
            self._removed += self._store.remove(document_id)
            self._bm25.remove(document_id)

    def _encoded(self, encoder: Encoder, progress: Progress | None) -> tuple[Rows, Vectors]:
        new = list(self._store.rows_after(self._committed_row))
        rows = np.array([row.row for row in new], np.int64)
        left = [row for row in new if row.row not in self._made]
        if left:
            vectors = encoder.encode_corpus([(row.title, row.text) for row in left], progress)
            self._made.update(zip((row.row for row in left), vectors, strict=True))
        made = [self._made[row.row] for row in new]
        return rows, np.array(made, np.float32).reshape(len(new), encoder.dimension)

    def _clear_leftovers(self) -> None:
        """What a writer that was killed has left or not done."""
        delete_unfinished(self.path)
        self._delete_unused_vectors()
        if not is_current(self.path, self._store):
            self._store.purge()  # the writer before may have been killed in the middle of it
            write_manifest(self.path, self._store)

    def _delete_unused_vectors(self) -> None:
        if (self.path / DENSE).is_dir():
            delete_unused(self.path / DENSE, self._store.segments())


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Tell of a full or failing disk in plain words; what was committed before is safe."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise RetrievalError(
            f"{path}: {error}; what was committed is kept, the same command goes on from there"
        ) from error


def check_encoder(path: Path, built: EncoderInfo | None, ours: EncoderInfo | None) -> None:
    """Raise IndexMismatch unless `ours` makes the vectors the index was built with."""
    if built is None and ours is None:
        return
    if built is None or ours is None or not built.makes_vectors_of(ours):
        raise IndexMismatch(
            f"{path} was built with {_named(built)}, not with {_named(ours)}: use that encoder, or"
            " change it with 'python -m app index reembed DIR --encoder ID'"
        )


def _named(encoder: EncoderInfo | None) -> str:
    if encoder is None:
        return "no encoder"
    return f"the encoder {encoder.id} (weights {encoder.weight_hash[:12]})"
