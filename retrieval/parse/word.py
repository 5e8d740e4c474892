"""DOCX -> blocks, from its XML, so that nothing in controls, boxes or equations is lost."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading, Item, Paragraph
from retrieval.parse.containers import attribute, local, parse_xml
from retrieval.parse.headers import Cells
from retrieval.parse.tables import is_layout, rows, sheet_rows

_SPACES = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
# Second versions of what stands beside them, removed text; text boxes follow their paragraph.
_SKIPPED = frozenset({"Fallback", "del", "moveFrom", "txbxContent", "instrText", "delText"})


def read_docx(path: Path) -> Document:
    import docx

    package = docx.Document(str(path))
    return Document(package.core_properties.title.strip(), _blocks(package))


def _blocks(package: Any) -> Iterator[Block]:
    styles = {style.style_id: style.name or "" for style in package.styles if style.type == 1}
    body = package.element.body
    yield from _around(package, "header")
    yield from _children(body, styles)
    for part in package.part.rels.values():
        if not part.is_external and part.reltype.endswith(("/footnotes", "/endnotes", "/comments")):
            for note in parse_xml(part.target_part.blob):
                if attribute(note, "type") is None:  # the others are separators
                    yield from _children(note, styles)
    yield from _around(package, "footer")


def _around(package: Any, place: str) -> Iterator[Block]:
    """The different running headers or footers, each once."""
    seen = set()
    for section in package.sections:
        for kind in ("first_page_", "even_page_", ""):
            running = getattr(section, kind + place)
            if running.is_linked_to_previous:
                continue
            for block in _children(running._element, {}):
                if block not in seen:
                    seen.add(block)
                    yield block


def _children(parent: Any, styles: dict[str, str]) -> Iterator[Block]:
    for element in parent:
        match local(element):
            case "p":
                yield from _paragraph(element, styles)
            case "tbl":
                yield from _table(element, styles)
            case "sdt" | "sdtContent" | "customXml" | "smartTag" | "ins" | "moveTo":
                yield from _children(element, styles)


def _paragraph(element: Any, styles: dict[str, str]) -> Iterator[Block]:
    text = "".join(_text(element))
    style, is_listed = _style(element, styles)
    if style.startswith(("heading", "title", "subtitle")):
        yield Heading(text)
    elif is_listed or style.startswith("list "):
        yield Item(text)
    else:
        yield Paragraph(text)
    for box in _boxes(element):
        yield from _children(box, styles)


def _text(element: Any) -> Iterator[str]:
    for child in element:
        name = local(child)
        if name == "t":
            yield child.text or ""
        elif name in _SPACES:
            yield _SPACES[name]
        elif name not in _SKIPPED:
            yield from _text(child)


def _boxes(element: Any) -> Iterator[Any]:
    for child in element:
        if local(child) == "txbxContent":
            yield child
        elif local(child) != "Fallback":
            yield from _boxes(child)


def _style(element: Any, styles: dict[str, str]) -> tuple[str, bool]:
    """The name of a paragraph's style, in lower case, and whether it is numbered or bulleted."""
    name, is_listed = "", False
    for properties in element:
        if local(properties) != "pPr":
            continue
        for entry in properties:
            if local(entry) == "pStyle":
                name = styles.get(attribute(entry, "val") or "", "").lower()
            is_listed = is_listed or local(entry) == "numPr"
    return name, is_listed


def _table(element: Any, styles: dict[str, str]) -> Iterator[Block]:
    grid: list[Cells] = []
    cells = []
    headers = 0
    above: dict[int, str] = {}
    for line in _named(element, "tr"):
        row: list[str | None] = []
        for cell in _named(line, "tc"):
            cells.append(cell)
            span, continues = _cell_properties(cell)
            text = above.get(len(row), "") if continues else _cell_text(cell)
            above[len(row)] = text
            row += [text, *[None] * (span - 1)]
        headers += headers == len(grid) and bool(list(_named(line, "trPr", "tblHeader")))
        grid.append(row)
    if is_layout(grid):
        for cell in cells:
            yield from _children(cell, styles)
    else:
        yield from rows(grid, headers) if headers else sheet_rows(grid, has_header=False)


def _named(parent: Any, *names: str) -> Iterator[Any]:
    """The descendants along a path of names, also inside content controls."""
    for child in parent:
        if local(child) in ("sdt", "sdtContent", "ins", "customXml"):
            yield from _named(child, *names)
        elif local(child) == names[0]:
            if len(names) == 1:
                yield child
            else:
                yield from _named(child, *names[1:])


def _cell_properties(cell: Any) -> tuple[int, bool]:
    """How many columns the cell spans, and whether it continues the cell above."""
    span = next((attribute(e, "val") for e in _named(cell, "tcPr", "gridSpan")), None)
    merge = next(iter(_named(cell, "tcPr", "vMerge")), None)
    continues = merge is not None and attribute(merge, "val") != "restart"
    return int(span) if span and span.isdigit() else 1, continues


def _cell_text(cell: Any) -> str:
    return "\n".join("".join(_text(p)) for p in cell.iter() if local(p) == "p")
