"""JSON, JSON Lines and XML -> blocks: records as rows, everything else as named lines."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading, Paragraph, Row
from retrieval.parse.containers import local, parse_xml
from retrieval.parse.decode import decode
from retrieval.parse.web import html_document


def read_json(path: Path) -> Document:
    """A JSON document or JSON Lines; what is neither is shown as it stands."""
    text = decode(path.read_bytes())
    try:
        return Document("", _json_blocks(json.loads(text), ""))
    except json.JSONDecodeError:
        pass
    try:
        records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except json.JSONDecodeError:
        return Document("", [Paragraph(text)])
    return Document("", _json_blocks(records, ""))


def _json_blocks(value: Any, name: str) -> Iterator[Block]:
    """The blocks of one value; `name` says where it stands in the document."""
    match value:
        case dict():
            simple = {key: v for key, v in value.items() if not isinstance(v, dict | list)}
            yield Row(tuple((_joined(name, key), _scalar(v)) for key, v in simple.items()))
            for key, inner in value.items():
                if isinstance(inner, dict | list):
                    yield from _json_blocks(inner, _joined(name, key))
        case list() if not any(isinstance(entry, dict | list) for entry in value):
            yield Row(((name, ", ".join(_scalar(entry) for entry in value)),))
        case list():
            for entry in value:
                yield from _json_blocks(entry, name)
        case _:
            yield Row(((name, _scalar(value)),))


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _scalar(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def read_xml(path: Path) -> Document:
    data = path.read_bytes()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):  # what it says of its encoding may be untrue then
        text = decode(data)
        data = (text[text.find("?>") + 2 :] if text.startswith("<?xml") else text).encode()
    return Document("", _xml_blocks(parse_xml(data)))


def _xml_blocks(element: Any) -> Iterator[Block]:
    """An element without inner structure is a row; others are read one by one."""
    children = [child for child in element if local(child)]
    if not children:
        yield from _xml_leaf(element)
        return
    if (element.text or "").strip() or any((child.tail or "").strip() for child in children):
        yield Paragraph("".join(element.itertext()))  # prose with marked words
        return
    leaves = [child for child in children if not len(child) and not _is_html(child.text)]
    yield Row(tuple((local(leaf), leaf.text or "") for leaf in leaves))
    for child in children:
        if len(child) or _is_html(child.text):
            yield from _xml_blocks(child)


def _xml_leaf(element: Any) -> Iterator[Block]:
    if _is_html(element.text):
        yield Heading(local(element))
        yield from html_document(element.text).blocks
    else:
        yield Row(((local(element), element.text or ""),))


def _is_html(text: str | None) -> bool:
    return text is not None and "</" in text and "<" in text[:200]
