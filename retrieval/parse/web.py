"""HTML -> blocks."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading, Item, Paragraph
from retrieval.parse.decode import decode
from retrieval.parse.headers import Cells
from retrieval.parse.tables import is_layout, rows, sheet_rows

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_BLOCKS = _HEADINGS | frozenset(
    "address article aside blockquote body caption center dd details div dl dt fieldset figcaption"
    " figure footer form header hgroup hr legend li main ol p pre section summary table tbody td"
    " tfoot th thead tr ul html".split()
)
_SKIPPED = frozenset(
    "script style noscript template svg nav head iframe object embed button select option datalist"
    " textarea canvas audio video map annotation".split()
)
_HIDDEN = re.compile(r"display:\s*none|visibility:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_CLOSED_AT_ONCE = re.compile(r"<(title|script|style|a|div|span|p|td|i|b|em|iframe)(\s[^<>]*)?/>")
_INLINE_SPACE = re.compile(r"\s+")
_SPAN_LIMIT = 200  # columns or rows a cell may claim to span


@dataclass(frozen=True, slots=True)
class _Text:
    value: str


@dataclass(frozen=True, slots=True)
class _LineBreak:
    pass


@dataclass(frozen=True, slots=True)
class _Open:
    tag: str


@dataclass(frozen=True, slots=True)
class _Close:
    pass


@dataclass(frozen=True, slots=True)
class _Table:
    blocks: Iterator[Block]


_Event = _Text | _LineBreak | _Open | _Close | _Table


def read_html(path: Path) -> Document:
    return html_document(path.read_bytes())


def html_document(data: bytes | str) -> Document:
    """The title and the blocks of an HTML page, without its navigation and scripts."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_well_closed(_decoded(data) if isinstance(data, bytes) else data))
    title = tree.css_first("title")
    root = tree.body if tree.body is not None else tree.root
    return Document(title.text() if title else "", _blocks(root) if root is not None else ())


def _decoded(data: bytes) -> str:
    declared = _CHARSET.search(data[:2048])
    return decode(data, declared.group(1).decode("ascii") if declared else None)


def _well_closed(text: str) -> str:
    """XHTML closes elements at once (`<title/>`), which HTML takes for left open."""
    return _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", text)


def _blocks(root: Any) -> Iterator[Block]:
    text: list[str] = []
    inside: list[str] = []  # the open elements that decide what a text is
    for event in _events(root):
        match event:
            case _Text(value):
                text.append(value if "pre" in inside else _INLINE_SPACE.sub(" ", value))
                continue
            case _LineBreak():
                text.append("\n")
                continue
        block = _block("".join(text), inside)
        text.clear()
        if block is not None:
            yield block
        match event:
            case _Open(tag):
                inside.append(tag)
            case _Close():
                inside.pop()
            case _Table(found):
                yield from found


def _events(root: Any) -> Iterator[_Event]:
    """What a reader of the page meets, without recursion: pages may nest to any depth."""
    stack: list[Any] = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, _Close):
            yield node
        elif node.tag == "-text":
            yield _Text(node.text_content or "")
        elif node.tag == "br":
            yield _LineBreak()
        elif node.tag == "table" and (found := _table(node)) is not None:
            yield _Table(found)
        elif _is_seen(node):
            if node.tag in _BLOCKS:
                yield _Open(node.tag)
                stack.append(_Close())
            stack += reversed(list(node.iter(include_text=True)))


def _is_seen(node: Any) -> bool:
    if node.tag in _SKIPPED or node.tag.startswith(("-", "!")):
        return False
    attributes = node.attributes
    if "hidden" in attributes or attributes.get("role") == "navigation":
        return False
    return not _HIDDEN.search(attributes.get("style") or "")


def _block(text: str, inside: list[str]) -> Block | None:
    if not text.strip():
        return None
    for tag in reversed(inside):
        if tag in _HEADINGS:
            return Heading(text)
        if tag == "li":
            return Item(text)
        if tag in ("ul", "ol", "td", "body"):
            break
    return Paragraph(text)


def _table(table: Any) -> Iterator[Block] | None:
    """The rows of a table; None for one that only lays out a page."""
    if table.css_first("table table") is not None or table.css_matches("table table"):
        return None
    lines = [line for line in table.css("tr") if _is_seen(line)]
    cells = [[c for c in line.iter() if c.tag in ("td", "th")] for line in lines]
    grid = _grid(cells)
    if is_layout(grid):
        return None
    return _table_blocks(table, cells, grid)


def _table_blocks(table: Any, cells: list[list[Any]], grid: list[Cells]) -> Iterator[Block]:
    caption = table.css_first("caption")
    if caption is not None:
        yield Paragraph(_cell_text(caption))
    headers = 0
    while headers < len(cells) and cells[headers] and all(c.tag == "th" for c in cells[headers]):
        headers += 1
    if 0 < headers < len(cells):
        yield from rows(grid, headers)
    else:
        yield from sheet_rows(grid, has_header=False)


def _grid(cells: list[list[Any]]) -> list[Cells]:
    """The texts of a table's cells by row and column, spans laid out."""
    grid: list[Cells] = []
    below: dict[int, tuple[int, str | None]] = {}  # column -> rows still covered, by what
    for line in cells:
        row: list[str | None] = []
        _cover(row, below)
        for cell in line:
            width, height = _span(cell, "colspan"), _span(cell, "rowspan")
            for text in [_cell_text(cell), *[None] * (width - 1)]:
                if height > 1:
                    below[len(row)] = (height - 1, text)
                row.append(text)
            _cover(row, below)
        grid.append(row)
    return grid


def _cover(row: list[str | None], below: dict[int, tuple[int, str | None]]) -> None:
    """Add to `row` the cells that reach down into it from above at its next columns."""
    while len(row) in below:
        column = len(row)
        left, text = below[column]
        row.append(text)
        if left == 1:
            del below[column]
        else:
            below[column] = (left - 1, text)


def _span(cell: Any, name: str) -> int:
    value = cell.attributes.get(name) or "1"
    return min(max(int(value), 1), _SPAN_LIMIT) if value.isdigit() else 1


def _cell_text(cell: Any) -> str:
    return " ".join(_block_text(block) for block in _blocks(cell))


def _block_text(block: Block) -> str:
    return block.text if isinstance(block, Heading | Paragraph | Item) else ""
