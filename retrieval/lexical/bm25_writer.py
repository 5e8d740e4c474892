"""BM25 by Lucene, write side: two commits live side by side until `passages.db` has made its own.

A commit leaves the previous one in place, pinned by a snapshot that Lucene keeps on disk, so that a
process killed between Lucene's commit and SQLite's finds the committed generation still there.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.lexical.bm25 import (
    CONTENTS,
    DOCUMENT,
    GENERATION,
    ID,
    analyzer,
    find_commit,
    open_directory,
    similarity,
)
from retrieval.lexical.java_threads import THREADS, add_documents, start
from retrieval.lexical.jvm import java, on_java_thread
from retrieval.records import titled
from retrieval.types import IndexDamaged

RAM_BUFFER_MB = 64.0
HANDED_OVER = 256  # passages: to change threads for each takes a good part of indexing it
SEGMENT_MB = 64.0  # about 300,000 passages; a removal rewrites whole segments, so they are bounded


@dataclass(frozen=True, slots=True)
class Entry:
    """What Lucene is told of one passage."""

    passage_id: str
    document_id: str
    title: str
    text: str


class Bm25Writer:
    """Adds and removes passages; nothing shows before `commit`; `close` without it forgets all."""

    @on_java_thread
    def __init__(self, folder: Path, generation: int | None) -> None:
        """Continue from `generation`, or start an empty index of generation 0 if it is None."""
        folder.mkdir(parents=True, exist_ok=True)
        self._directory = open_directory(folder)
        self._policy = _two_commits(self._directory)
        config = _config(self._policy)
        if generation is None:
            config.setOpenMode(java("org.apache.lucene.index.IndexWriterConfig$OpenMode").CREATE)
        else:
            commit = _commit_of(folder, self._directory, generation)
            config.setIndexCommit(commit)
        self._writer = java("org.apache.lucene.index.IndexWriter")(self._directory, config)
        if generation is not None:  # the policy knows what is pinned once the writer is open
            self._release_others(commit.getGeneration())
            self._writer.deleteUnusedFiles()
        self._indexing = _Indexing(self._writer)
        self._deleted = False
        self._waiting: list[Entry] = []
        if generation is None:
            self._commit_first()

    def add(self, entries: Iterable[Entry]) -> None:
        """Add passages whose ids are not in the index yet; Lucene gets many at a time."""
        self._waiting += entries
        if len(self._waiting) >= HANDED_OVER:
            self._hand_over()

    @on_java_thread
    def remove(self, document_id: str) -> None:
        """Delete every passage of a document; the next commit purges its words from disk."""
        self._hand_over_all()
        term = java("org.apache.lucene.index.Term")(DOCUMENT, document_id)
        self._writer.deleteDocuments(java("org.apache.lucene.search.TermQuery")(term))
        self._deleted = True

    @on_java_thread
    def commit(self, generation: int) -> None:
        """Make all changes durable as `generation`, beside the previous commit."""
        self._hand_over_all()
        if self._deleted:
            self._writer.forceMergeDeletes()
            self._deleted = False
        if generation > 0 and self._policy.getSnapshotCount() == 0:
            self._policy.snapshot()
        data = java("java.util.HashMap")()
        data.put(GENERATION, str(generation))
        self._writer.setLiveCommitData(data.entrySet())
        self._writer.commit()

    @on_java_thread
    def forget_previous(self) -> None:
        """Delete the commits before the last; call once the last one's generation is committed."""
        self._release_others(kept=None)
        self._writer.deleteUnusedFiles()

    @on_java_thread
    def close(self) -> None:
        """Close the files, dropping what was not committed."""
        self._indexing.give_up()
        self._writer.close()
        self._directory.close()

    @on_java_thread
    def _hand_over(self) -> None:
        for first in range(0, len(self._waiting), HANDED_OVER):
            self._indexing.add(self._waiting[first : first + HANDED_OVER])
        self._waiting.clear()

    def _hand_over_all(self) -> None:
        self._hand_over()
        self._indexing.wait()

    def _commit_first(self) -> None:
        try:
            self.commit(0)
        except Exception:
            self.close()  # or Lucene's lock would outlive this object
            raise

    def _release_others(self, kept: int | None) -> None:
        """Unpin all commits but that of Lucene's own generation `kept`."""
        for snapshot in self._policy.getSnapshots().toArray():
            if snapshot.getGeneration() != kept:
                self._policy.release(snapshot.getGeneration())


class _Indexing:
    """Batches on their way into Lucene: some are indexed in Java's threads while one is filled.

    Calls from Python into Java cost a good part of indexing a passage: so documents are used again
    and again, and go over in one call for all.
    """

    def __init__(self, writer: Any) -> None:
        self._writer = writer
        self._free = [_Batch() for _ in range(THREADS + 1)]
        self._running: deque[tuple[_Batch, Any]] = deque()  # with Java's Future, oldest first

    def add(self, entries: Sequence[Entry]) -> None:
        """Add some passages; raises what went wrong with earlier ones."""
        if not self._free:
            self._wait_for_one()
        batch = self._free.pop()
        self._running.append((batch, start(add_documents(), self._writer, batch.filled(entries))))

    def wait(self) -> None:
        """Return when Lucene has all that was added; raises what went wrong."""
        while self._running:
            self._wait_for_one()

    def give_up(self) -> None:
        """Return when nothing runs; what went wrong no longer matters."""
        while self._running:
            with suppress(Exception):
                self._wait_for_one()

    def _wait_for_one(self) -> None:
        batch, future = self._running.popleft()
        self._free.append(batch)
        future.get()


class _Batch:
    """Lucene documents that can be filled again, as many as were needed at once."""

    def __init__(self) -> None:
        self._documents: list[_ReusedDocument] = []
        self._list = java("java.util.ArrayList")()

    def filled(self, entries: Sequence[Entry]) -> Any:
        while len(self._documents) < len(entries):
            self._documents.append(_ReusedDocument())
            self._list.add(self._documents[-1].document)
        for document, entry in zip(self._documents, entries, strict=False):
            document.fill(entry)
        return self._list.subList(0, len(entries))


class _ReusedDocument:
    """One Lucene document."""

    def __init__(self) -> None:
        self._id = java("org.apache.lucene.util.BytesRefBuilder")()
        self._of = ""
        self._document_id = java("org.apache.lucene.document.StringField")(
            DOCUMENT, self._of, java("org.apache.lucene.document.Field$Store").NO
        )
        self._contents = _text_field(CONTENTS)
        self.document = java("org.apache.lucene.document.Document")()
        for field in (_id_field(self._id.get()), self._document_id, self._contents):
            self.document.add(field)

    def fill(self, entry: Entry) -> None:
        name = entry.passage_id.encode()
        self._id.copyBytes(name, 0, len(name))  # the field's own: Lucene would not set a new one
        if entry.document_id != self._of:
            self._of = entry.document_id
            self._document_id.setStringValue(self._of)
        self._contents.setStringValue(titled(entry.title, entry.text))


def _id_field(value: Any) -> Any:
    """The passage id, as a term to look up and as the value that ties are ordered by."""
    kind = java("org.apache.lucene.document.FieldType")()
    kind.setIndexOptions(java("org.apache.lucene.index.IndexOptions").DOCS)
    kind.setTokenized(False)
    kind.setOmitNorms(True)
    kind.setDocValuesType(java("org.apache.lucene.index.DocValuesType").BINARY)
    kind.freeze()
    return java("org.apache.lucene.document.Field")(
        ID,
        value,
        kind,
        signature="(Ljava/lang/String;Lorg/apache/lucene/util/BytesRef;"
        "Lorg/apache/lucene/index/IndexableFieldType;)V",
    )


def _text_field(name: str) -> Any:
    """Indexed as Anserini does by default: frequencies, no positions, nothing stored."""
    kind = java("org.apache.lucene.document.FieldType")()
    kind.setIndexOptions(java("org.apache.lucene.index.IndexOptions").DOCS_AND_FREQS)
    kind.freeze()
    return java("org.apache.lucene.document.Field")(
        name,
        java("java.lang.String")(""),
        kind,
        signature="(Ljava/lang/String;Ljava/lang/CharSequence;"
        "Lorg/apache/lucene/index/IndexableFieldType;)V",
    )


def _two_commits(directory: Any) -> Any:
    last = java("org.apache.lucene.index.KeepOnlyLastCommitDeletionPolicy")()
    return java("org.apache.lucene.index.PersistentSnapshotDeletionPolicy")(last, directory)


def _config(policy: Any) -> Any:
    config = java("org.apache.lucene.index.IndexWriterConfig")(analyzer())
    merging = java("org.apache.lucene.index.TieredMergePolicy")()
    merging.setForceMergeDeletesPctAllowed(0.0)  # a deletion must be gone, however small its share
    merging.setMaxMergedSegmentMB(SEGMENT_MB)
    config.setMergePolicy(merging)
    # In this thread: a merge still running in another would keep its deletions past the commit.
    config.setMergeScheduler(java("org.apache.lucene.index.SerialMergeScheduler")())
    config.setSimilarity(similarity())
    config.setIndexDeletionPolicy(policy)
    config.setRAMBufferSizeMB(RAM_BUFFER_MB)
    config.setCommitOnClose(False)
    return config


def _commit_of(folder: Path, directory: Any, generation: int) -> Any:
    commit = find_commit(directory, generation)
    if commit is None:
        raise IndexDamaged(f"{folder}: no Lucene commit of generation {generation}; build again")
    return commit
