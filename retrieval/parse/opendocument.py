"""OpenDocument text, sheets and slides (ODT, ODS, ODP) -> blocks, from their XML."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading, Item, PageStart, Paragraph
from retrieval.parse.containers import attribute, local, parse_xml
from retrieval.parse.headers import Cells
from retrieval.parse.tables import is_layout, sheet_rows
from retrieval.types import ParseFailure

_REPEAT_LIMIT = 64  # empty cells and rows are stored as one repeated a million times
_SKIPPED = frozenset({"tracked-changes", "annotation", "sequence-decls", "forms"})


def read_opendocument(path: Path) -> Document:
    """The document at `path`. Raises ParseFailure."""
    with zipfile.ZipFile(path) as archive:
        try:
            content = parse_xml(archive.read("content.xml"))
        except KeyError:
            raise ParseFailure("damaged file: it has no content") from None
        meta = parse_xml(archive.read("meta.xml")) if "meta.xml" in archive.namelist() else ()
        manifest = archive.read("META-INF/manifest.xml") if _has_manifest(archive) else b""
    if b"encryption-data" in manifest:
        raise ParseFailure("password-protected")
    titles = [e.text or "" for part in meta for e in part.iter() if local(e) == "title"]
    bodies = [element for element in content if local(element) == "body"]
    return Document(titles[0] if titles else "", _blocks(bodies[0]) if bodies else ())


def _has_manifest(archive: zipfile.ZipFile) -> bool:
    return "META-INF/manifest.xml" in archive.namelist()


def _blocks(parent: Any, *, listed: bool = False) -> Iterator[Block]:
    for element in parent:
        name = local(element)
        if name == "h":
            yield Heading(_text(element))
        elif name == "p":
            yield Item(_text(element)) if listed else Paragraph(_text(element))
            for frame in _frames(element):
                yield from _blocks(frame)
        elif name == "table":
            yield from _table(element)
        elif name == "page":
            yield PageStart()
            yield from _blocks(element)
        elif name not in _SKIPPED:
            yield from _blocks(element, listed=listed or name == "list-item")


def _text(element: Any) -> str:
    """The text of a paragraph without that of frames and notes in it."""
    parts = [element.text or ""]
    for child in element:
        match local(child):
            case "s":
                parts.append(" ")
            case "tab":
                parts.append(" ")
            case "line-break":
                parts.append("\n")
            case "note" | "frame" | "annotation" | "text-box":
                pass
            case _:
                parts.append(_text(child))
        parts.append(child.tail or "")
    return "".join(parts)


def _frames(element: Any) -> Iterator[Any]:
    for child in element.iter():
        if local(child) in ("text-box", "note-body"):
            yield child


def _table(table: Any) -> Iterator[Block]:
    grid = list(_grid(table))
    if len(grid) > 1 or not is_layout(grid):
        if name := attribute(table, "name"):
            yield Heading(name)
        yield from sheet_rows(grid, has_header=True)
    else:
        for row in table.iter():
            if local(row) == "table-cell":
                yield from _blocks(row)


def _grid(table: Any) -> Iterator[Cells]:
    for row in table.iter():
        if local(row) != "table-row":
            continue
        cells: list[str | None] = []
        for cell in row:
            if local(cell) not in ("table-cell", "covered-table-cell"):
                continue
            lines = [_text(p) for p in cell.iter() if local(p) in ("p", "h")]
            text = None if local(cell) == "covered-table-cell" else "\n".join(lines)
            cells += [text] * _repeats(cell, "number-columns-repeated")
        while cells and not cells[-1]:
            cells.pop()
        for _ in range(_repeats(row, "number-rows-repeated")):
            yield cells


def _repeats(element: Any, name: str) -> int:
    value = attribute(element, name) or "1"
    return min(int(value), _REPEAT_LIMIT) if value.isdigit() else 1
