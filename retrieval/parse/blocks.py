"""Blocks of a document -> its text: the one place that decides how headings, items and rows read.

Headings and paragraphs are set apart by blank lines; list items and table rows are lines of their
own. A row repeats its table's header, `Quarter: Q1; Revenue: 12.`, so that it makes sense alone.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from retrieval.types import ParseFailure


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Its text may hold line ends that mean something, as in an address or a program."""

    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: (header, value) for each cell that is not empty; the header may be ""."""

    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class PageStart:
    """What follows is on the next page or slide, or on the first."""


Block = Heading | Paragraph | Item | Row | PageStart


@dataclass(frozen=True, slots=True)
class Document:
    """What a reader makes of a file; its blocks may still have to be read. Title "" if unknown."""

    title: str
    blocks: Iterable[Block]


# Control characters and halves of pairs break JSON and SQLite; private characters say nothing.
_UNREADABLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\ufeff\ufffe\uffff\ud800-\udfff\ue000-\uf8ff"
    r"\u00ad\u200b\u2060-\u2064]"  # soft hyphens and other marks without width
)
_LINE_END = re.compile(r"\r+\n|\r|[\u0085\u2028\u2029]")
_BLANKS = re.compile(r"[ \t\u00a0\u2000-\u200a\u202f\u205f\u3000]+")
_BLANK_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """`text` with one kind of line end and without unreadable characters."""
    return _UNREADABLE.sub("", _LINE_END.sub("\n", text).replace("\f", "\n\n").replace("\v", "\n"))


def one_line(text: str) -> str:
    """`text` with every run of white space made one space."""
    return " ".join(clean(text).split())


def render(blocks: Iterable[Block], limit: int) -> tuple[str, tuple[int, ...]]:
    """The text of `blocks` and where its pages start (empty if there are no pages).

    Raises ParseFailure once the text is longer than `limit` characters.
    """
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    tight = False  # whether the last part was an item or a row
    for block in blocks:
        if isinstance(block, PageStart):
            starts.append(length + 2 if length else 0)
            tight = False
            continue
        text = _text_of(block)
        if not text:
            continue
        is_line = isinstance(block, Item | Row)
        gap = "" if not length else "\n" if tight and is_line else "\n\n"
        parts += [gap, text]
        length += len(gap) + len(text)
        tight = is_line
        if length > limit:
            raise ParseFailure(f"more than {limit:,} characters of text")
    return "".join(parts), tuple(min(start, length) for start in starts)


def _text_of(block: Heading | Paragraph | Item | Row) -> str:
    match block:
        case Heading(text):
            return one_line(text)
        case Item(text):
            return f"- {line}" if (line := one_line(text)) else ""
        case Paragraph(text):
            lines = [_BLANKS.sub(" ", line).strip() for line in clean(text).split("\n")]
            return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip()
        case Row(cells):
            return _row_text(cells)


def _row_text(cells: tuple[tuple[str, str], ...]) -> str:
    pairs = [(one_line(header).rstrip(":"), one_line(value)) for header, value in cells]
    text = "; ".join(f"{header}: {value}" if header else value for header, value in pairs if value)
    return text if not text or text[-1] in ".!?。！？" else text + "."
