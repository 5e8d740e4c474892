"""Whether the three parts of an index hold what they should, and the same."""

import sqlite3
from pathlib import Path

import numpy as np

from retrieval.ingest.writer import DENSE, LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.storage.ann import ann_problem
from retrieval.storage.segments import read_segment, segment_problem
from retrieval.storage.store import FILE, Store
from retrieval.types import IndexDamaged


def verify_index(path: Path) -> list[str]:
    """What is wrong with the index in `path`, one line each; empty if nothing is.

    Reads everything: SQLite's own check, Lucene's checksums, the hash of every dense segment, and
    whether all three hold the same passages. Raises NotAnIndex or IndexMismatch as opening would.
    """
    store = Store.open(path)
    try:
        while True:
            before = store.generation
            problems = store.problems() + _lucene(path / LUCENE, store)
            problems += _dense(path / DENSE, store) if store.encoder else []
            if not problems or store.generation == before:  # else a writer committed meanwhile
                return problems
    except sqlite3.DatabaseError as error:
        return [f"{path / FILE}: {error}; build the index again"]
    finally:
        store.close()


def _lucene(folder: Path, store: Store) -> list[str]:
    try:
        searcher = Bm25Searcher(folder, store.generation)
        try:
            searcher.check()
            count, (_, passages, _) = searcher.count(), store.counts()
        finally:
            searcher.close()
    except IndexDamaged as error:
        return [str(error)]
    return [] if count == passages else [f"{folder}: {count} passages instead of {passages}"]


def _dense(folder: Path, store: Store) -> list[str]:
    segments = store.segments()
    problems = [p for segment in segments if (p := segment_problem(folder, segment))]
    problems += [p for s in segments if s.ann and (p := ann_problem(folder, s.ann))]
    if problems:
        return problems
    parts = [read_segment(folder, segment)[0] for segment in segments]
    rows = np.concatenate(parts) if parts else np.empty(0, np.int64)
    if rows.tolist() != store.rows():
        return [f"{folder}: vectors are not those of the {len(store.rows())} passages stored"]
    return []
