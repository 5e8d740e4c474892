"""Markdown as a flat list of blocks: the part of it that every office format can show."""

from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the document's title."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph, or a quotation (which a slide keeps as a speaker's note)."""

    text: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Items:
    """A list of one-paragraph items."""

    items: tuple[str, ...]
    numbered: bool


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells, the first of them the header."""

    rows: tuple[tuple[str, ...], ...]


Block = Heading | Paragraph | Items | Table


def read_blocks(markdown: str) -> list[Block]:
    """The blocks of `markdown`; raises ValueError for a block no format here can show."""
    tokens: list[Token] = MarkdownIt("commonmark").enable("table").parse(markdown)
    return [_block(node) for node in SyntaxTreeNode(tokens).children]


def _block(node: SyntaxTreeNode) -> Block:
    match node.type:
        case "heading":
            return Heading(int(node.tag[1]), _text(node))
        case "paragraph":
            return Paragraph(_text(node))
        case "blockquote":
            return Paragraph(_text(node), quoted=True)
        case "bullet_list" | "ordered_list":
            items = tuple(_text(item) for item in node.children)
            return Items(items, numbered=node.type == "ordered_list")
        case "table":
            rows = (row for part in node.children for row in part.children)
            return Table(tuple(tuple(_text(cell) for cell in row.children) for row in rows))
        case other:
            raise ValueError(f"sample sources may not hold a {other}")


def _text(node: SyntaxTreeNode) -> str:
    """The words under `node`, on one line."""
    words = (leaf.content for leaf in node.walk() if leaf.type == "inline")
    return " ".join(" ".join(words).split())
