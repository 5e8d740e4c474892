"""A folder -> an index that holds what the folder holds: files added, changed, renamed, removed.

Documents are known by the hash of their bytes, so nothing but what differs is read again, and a run
that was stopped is simply given again.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from retrieval.encoders.encoder import Encoder
from retrieval.ingest.pipeline import Failure, Progress, add_sources, file_digest
from retrieval.ingest.sources import CorpusSource, FileSource, find_sources
from retrieval.ingest.writer import IndexWriter
from retrieval.records import clean
from retrieval.storage.manifest import is_current
from retrieval.storage.store import Store
from retrieval.types import RetrievalError

HASH = re.compile("[0-9a-f]{64}")  # ids of files; entries of a corpus have other ones


@dataclass(frozen=True, slots=True)
class Renamed:
    """A document whose file has another name now: `name`, by which `file` is found."""

    document_id: str
    old: str
    file: FileSource

    @property
    def keeps_title(self) -> bool:
        """Whether a title made of the file's name, and with it every vector, stays the same."""
        return PurePath(self.old).stem == PurePath(self.file.name).stem


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What makes an index hold what a folder holds; a changed file `replaces` its old document."""

    added: tuple[FileSource, ...]
    changed: tuple[FileSource, ...]
    renamed: tuple[Renamed, ...]
    removed: Mapping[str, str]  # names by document id
    unchanged: int
    unread: Mapping[str, Failure]  # by name, files that cannot be opened: their documents stay
    settled: bool = True  # False where a killed writer has left something to clear

    @property
    def empty(self) -> bool:
        """Whether the index holds what the folder holds already."""
        return not (self.added or self.changed or self.renamed or self.removed)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What was done, or is to be done, by file name; `passages` counts the index."""

    added: list[str]
    changed: list[str]
    renamed: list[tuple[str, str]]  # old name, new name
    removed: list[str]
    unchanged: int
    failed: list[Failure]
    passages: int


def sync_folder(
    path: Path,
    folder: Path,
    *,
    encoder: Encoder | None,
    progress: Progress,
    ocr: bool = False,
    strict: bool = False,
) -> SyncReport:
    """Make the index in `path` hold the files of `folder` and no others.

    Entries of a corpus stay. A changed file that cannot be read is reported, and its old document
    stays too. Raises RetrievalError as `plan_sync` does, and as a writer would.
    """
    plan = plan_sync(path, folder, progress)
    if plan.empty and plan.settled:
        return report_of(path, plan)
    _drop_and_rename(path, plan, encoder)
    again = [replace(r.file, replaces=(r.document_id,)) for r in plan.renamed if not r.keeps_title]
    files = [*plan.added, *plan.changed, *again]
    if not files:
        return report_of(path, plan)
    added = add_sources(path, files, encoder=encoder, progress=progress, ocr=ocr, strict=strict)
    return report_of(path, plan, added.failed)


def _drop_and_rename(path: Path, plan: SyncPlan, encoder: Encoder | None) -> None:
    """One commit; opening the writer clears what a killed one has left."""
    with IndexWriter(path, encoder) as writer:
        for document_id in plan.removed:
            writer.remove(document_id)
        for renamed in plan.renamed:
            if renamed.keeps_title:
                writer.rename(renamed.document_id, renamed.file.name)
        writer.commit()


def plan_sync(path: Path, folder: Path, progress: Progress) -> SyncPlan:
    """Compare the index in `path` with `folder` by content; `progress` hears "hashing".

    Raises RetrievalError if `folder` is no folder, is a corpus, or is empty where the index is not:
    a disk that is not there must not empty an index.
    """
    store = Store.open(path)
    stored = {id: name for id, name in store.names().items() if HASH.fullmatch(id)}
    settled = is_current(path, store)
    store.close()
    files = _files(folder, path)
    if stored and not files:
        raise RetrievalError(
            f"{folder} holds no files, {path} {len(stored)} documents: is it the right folder?"
            " 'python -m app index remove' removes documents"
        )
    found: defaultdict[str, list[FileSource]] = defaultdict(list)
    unread = {}
    for number, file in enumerate(files, start=1):
        try:
            found[file_digest(file.path)].append(file)
        except OSError as error:
            reason = error.strerror or str(error)
            unread[file.name] = Failure(clean(str(file.path)), reason)
        progress("hashing", number, len(files))
    return replace(compare(stored, found, unread), settled=settled)


def compare(
    stored: Mapping[str, str],
    found: Mapping[str, Sequence[FileSource]],
    unread: Mapping[str, Failure],
) -> SyncPlan:
    """What to do for names by document id to become those of the files `found` by digest."""
    gone = {id: name for id, name in stored.items() if id not in found and name not in unread}
    old = _by_name(gone)
    new = [file for digest, files in found.items() if digest not in stored for file in files]
    known = [(id, stored[id], files) for id, files in found.items() if id in stored]
    renamed = [Renamed(id, name, files[0]) for id, name, files in known if not _named(name, files)]
    replaced = {file.name for file in new if file.name in old}
    return SyncPlan(
        tuple(file for file in new if file.name not in old),
        tuple(replace(file, replaces=old[file.name]) for file in new if file.name in old),
        tuple(renamed),
        {id: name for id, name in gone.items() if name not in replaced},
        len(known) - len(renamed),
        unread,
    )


def report_of(path: Path, plan: SyncPlan, failed: Sequence[Failure] = ()) -> SyncReport:
    """The plan by file names, without the files that `failed` to be read."""
    unread = {failure.path for failure in failed}

    def read(file: FileSource) -> bool:
        return clean(str(file.path)) not in unread

    store = Store.open(path)
    _, passages, _ = store.counts()
    store.close()
    return SyncReport(
        [file.name for file in plan.added if read(file)],
        [file.name for file in plan.changed if read(file)],
        [(renamed.old, renamed.file.name) for renamed in plan.renamed if read(renamed.file)],
        list(plan.removed.values()),
        plan.unchanged,
        [*plan.unread.values(), *failed],
        passages,
    )


def _files(folder: Path, index: Path) -> list[FileSource]:
    if not folder.is_dir():
        raise RetrievalError(f"{folder}: no such folder")
    if index.resolve().is_relative_to(folder.resolve()):
        raise RetrievalError(f"{index} lies in {folder}: move the index out of its documents")
    sources = find_sources([folder])
    files = [source for source in sources if isinstance(source, FileSource)]
    if any(isinstance(source, CorpusSource) for source in sources):
        raise RetrievalError(
            f"{folder} is a corpus, whose entries have ids of their own: 'python -m app index build"
            " SOURCE --out DIR' takes it"
        )
    return files


def _by_name(documents: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for id, name in documents.items():
        ids[name].append(id)
    return {name: tuple(found) for name, found in ids.items()}


def _named(name: str, files: Collection[FileSource]) -> bool:
    return any(file.name == name for file in files)
