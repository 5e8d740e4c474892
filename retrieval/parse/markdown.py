"""Markdown -> blocks."""

import re
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from retrieval.parse.blocks import Block, Document, Heading, Item, Paragraph
from retrieval.parse.decode import decode
from retrieval.parse.tables import rows

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n(?:---|\.\.\.)\n", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def read_markdown(path: Path) -> Document:
    blocks = list(_document(decode(path.read_bytes())))
    titles = [block.text for block in blocks if isinstance(block, Heading)]
    return Document(titles[0] if titles else "", blocks)


def _document(text: str) -> Iterator[Block]:
    front = _FRONT_MATTER.match(text)
    if front:
        yield Paragraph(front.group(1))
        text = text[front.end() :]
    parser = MarkdownIt("commonmark").enable("table")
    for node in SyntaxTreeNode(parser.parse(text)).children:
        yield from _blocks(node)


def _blocks(node: SyntaxTreeNode) -> Iterator[Block]:
    match node.type:
        case "heading":
            yield Heading(_inline(node))
        case "paragraph":
            yield Paragraph(_inline(node))
        case "fence" | "code_block":
            yield Paragraph(node.content)
        case "html_block":
            yield Paragraph(_TAG.sub(" ", node.content))
        case "list_item":
            yield from _item(node)
        case "table":
            lines = [row for part in node.children for row in part.children]
            yield from rows([[_inline(cell) for cell in line.children] for line in lines], 1)
        case _:
            for child in node.children:
                yield from _blocks(child)


def _item(node: SyntaxTreeNode) -> Iterator[Block]:
    """A list item is its first paragraph; whatever else it holds follows."""
    for i, child in enumerate(node.children):
        if i == 0 and child.type == "paragraph":
            yield Item(_inline(child))
        else:
            yield from _blocks(child)


def _inline(node: SyntaxTreeNode) -> str:
    """The text of a block without its marks; images give their description."""
    match node.type:
        case "text" | "code_inline":
            return node.content
        case "softbreak" | "hardbreak":
            return "\n" if node.type == "hardbreak" else " "
        case "html_inline":
            return ""
        case _:
            return "".join(_inline(child) for child in node.children)
