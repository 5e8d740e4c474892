"""Mined spans on disk, in SQLite: a corpus of any size is mined and trained on in little memory."""

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.ingest.writer import LUCENE
from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.spider.mining_groups import Group, mining_groups
from retrieval.spider.recurring_spans import Occurrence, RecurringSpan, SpanRules, spider_spans
from retrieval.storage.store import Store

BATCH = 1_000  # passages between two commits
SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (through INTEGER NOT NULL, passages INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS groups (
    id INTEGER PRIMARY KEY, rows TEXT NOT NULL, neighbourhood INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS spans (
    id INTEGER PRIMARY KEY, group_id INTEGER NOT NULL REFERENCES groups (id), words TEXT NOT NULL,
    places TEXT NOT NULL); -- JSON: [passage of the group, start, end] for each occurrence
"""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class MinedSpan:
    """A recurring span: `occurrences[i].passage` counts in `rows`, the passages of its group."""

    rows: tuple[int, ...]
    words: str
    occurrences: tuple[Occurrence, ...]


class MinedSpans:
    """The spans of an index, by number from 0; made by `mine_spans`."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path)
        self._connection.executescript(SCHEMA)

    def close(self) -> None:
        """Close the file; what was not committed is mined again."""
        self._connection.close()

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM spans").fetchone()[0])

    def __getitem__(self, number: int) -> MinedSpan:
        query = """SELECT g.rows, s.words, s.places FROM spans s
            JOIN groups g ON g.id = s.group_id WHERE s.id = ?"""
        rows, words, places = self._connection.execute(query, (number + 1,)).fetchone()
        occurrences = tuple(Occurrence(*place) for place in json.loads(places))
        return MinedSpan(tuple(json.loads(rows)), words, occurrences)

    @property
    def groups(self) -> tuple[int, int]:
        """How many documents gave spans, and how many neighbourhoods."""
        query = "SELECT total(neighbourhood = 0), total(neighbourhood) FROM groups"
        documents, neighbourhoods = self._connection.execute(query).fetchone()
        return int(documents), int(neighbourhoods)

    @property
    def progress(self) -> tuple[int, int]:
        """The last row that was mined and how many passages that were; (0, 0) at first."""
        query = "SELECT max(through), total(passages) FROM progress"
        through, passages = self._connection.execute(query).fetchone()
        return int(through or 0), int(passages)

    def add(self, group: Group, spans: Sequence[RecurringSpan]) -> None:
        """Add a group's spans; they are kept from the next commit on."""
        if not spans:
            return
        number = self._connection.execute(
            "INSERT INTO groups (rows, neighbourhood) VALUES (?, ?)",
            (json.dumps(group.rows), group.neighbourhood),
        ).lastrowid
        self._connection.executemany(
            "INSERT INTO spans (group_id, words, places) VALUES (?, ?, ?)",
            [(number, span.words, _places(span)) for span in spans],
        )

    def commit(self, through: int, passages: int) -> None:
        """Keep what was added; `passages` up to the row `through` were mined since the last one."""
        self._connection.execute("INSERT INTO progress VALUES (?, ?)", (through, passages))
        self._connection.commit()


def mine_spans(index: Path, store: Store, path: Path, rules: SpanRules, progress: Progress) -> None:
    """Mine all documents of an index into the file `path`, from where an earlier run stopped.

    `progress` hears how many passages of how many were mined.
    """
    spans = MinedSpans(path)
    searcher = Bm25Searcher(index / LUCENE, store.generation)
    try:
        through, done = spans.progress
        total, waiting = store.counts()[1], 0
        for group in mining_groups(store, searcher.search, through):
            spans.add(group, _of_group(group, rules))
            through = group.through
            waiting += 1 if group.neighbourhood else len(group.rows)
            if waiting >= BATCH:
                spans.commit(through, waiting)
                done, waiting = done + waiting, 0
                progress(done, total)
        spans.commit(through, waiting)
        progress(done + waiting, total)
    finally:
        searcher.close()
        spans.close()


def _of_group(group: Group, rules: SpanRules) -> list[RecurringSpan]:
    spans = spider_spans(group.texts, rules)
    if not group.neighbourhood:
        return spans
    return [span for span in spans if span.occurrences[0].passage == 0]


def _places(span: RecurringSpan) -> str:
    return json.dumps([(o.passage, o.start, o.end) for o in span.occurrences])
