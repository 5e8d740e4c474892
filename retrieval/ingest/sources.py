"""What a user names as SOURCE -> files to parse and corpora to read.

A corpus is a BEIR `corpus.jsonl` (or a folder holding one) or a DPR `psgs_w100.tsv`. Its entries
are whole documents, known by their own ids; every other file is parsed and split into passages.
"""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from retrieval.records import clean
from retrieval.types import RetrievalError

BEIR = "corpus.jsonl"
DPR_HEADER = "id\ttext\ttitle"


@dataclass(frozen=True, slots=True)
class FileSource:
    """A file to parse; `name` is what its user calls it: its path below the folder given.

    Documents in `replaces`, by id, leave the index in the commit that takes the file in.
    """

    path: Path
    name: str
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CorpusSource:
    """A file of whole documents, one a line."""

    path: Path


@dataclass(frozen=True, slots=True)
class CorpusEntry:
    """One document of a corpus."""

    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line of a corpus, counted from 1, that is no document."""

    line: int
    reason: str


Source = FileSource | CorpusSource


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Files and corpora named by `paths`, folders searched through; raises RetrievalError.

    In a folder, hidden files and links are skipped, so that nothing outside it is read.
    """
    return [source for path in paths for source in _sources_of(path)]


def read_corpus(path: Path) -> Iterator[CorpusEntry | BadLine]:
    """The documents of a corpus, in order, and the lines that are none."""
    return _read_tsv(path) if _is_dpr(path) else _read_jsonl(path)


def _sources_of(path: Path) -> list[Source]:
    if path.is_file():
        return [CorpusSource(path) if _is_corpus(path) else FileSource(path, clean(path.name))]
    if not path.is_dir():
        raise RetrievalError(f"{path}: no such file or folder")
    if (path / BEIR).is_file():
        return [CorpusSource(path / BEIR)]
    return list(_walk(path, path))


def _walk(root: Path, folder: Path) -> Iterator[Source]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise RetrievalError(f"{folder} cannot be read: {error.strerror}") from error
    for path in paths:
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _walk(root, path)
        elif path.is_file():
            yield FileSource(path, clean(path.relative_to(root).as_posix()))


def _is_corpus(path: Path) -> bool:
    return _is_dpr(path) or _is_beir(path)


def _is_dpr(path: Path) -> bool:
    return path.suffix == ".tsv" and _first_line(path).rstrip("\r\n") == DPR_HEADER


def _is_beir(path: Path) -> bool:
    """Whether the first line is a JSON object with an `_id` and a text."""
    if path.name == BEIR:
        return True
    if path.suffix != ".jsonl":
        return False
    try:
        first = json.loads(_first_line(path))
    except ValueError:
        return False
    return isinstance(first, dict) and {"_id", "text"} <= first.keys()


def _first_line(path: Path) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.readline(1 << 20)


def _read_jsonl(path: Path) -> Iterator[CorpusEntry | BadLine]:
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _entry(line) or BadLine(number, _fault(line))


def _entry(line: str) -> CorpusEntry | None:
    try:
        found = json.loads(line)
        id, title, text = found["_id"], found.get("title") or "", found.get("text") or ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(id, str | int) or not isinstance(title, str) or not isinstance(text, str):
        return None
    if not title.strip() and not text.strip():
        return None
    return CorpusEntry(clean(str(id)), clean(title), clean(text))


def _fault(line: str) -> str:
    """Why a line of JSON is no document."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    if not isinstance(found, dict):
        return "not a JSON object"
    if "_id" not in found:
        return "no _id"
    if not any(str(found.get(key) or "").strip() for key in ("title", "text")):
        return f"_id {found['_id']}: neither title nor text"
    return f"_id {found['_id']}: _id, title and text must be strings"


def _read_tsv(path: Path) -> Iterator[CorpusEntry | BadLine]:
    csv.field_size_limit(sys.maxsize)
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter="\t")
        next(rows)
        for row in rows:
            if len(row) != 3:
                yield BadLine(rows.line_num, f"{len(row)} columns instead of id, text, title")
            elif not row[1].strip():
                yield BadLine(rows.line_num, f"id {row[0]}: no text")
            else:
                yield CorpusEntry(*map(clean, (row[0], row[2], row[1])))
