"""RTF -> blocks."""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from striprtf.striprtf import rtf_to_text

from retrieval.parse.blocks import Block, Document, Paragraph
from retrieval.parse.tables import sheet_rows


def read_rtf(path: Path) -> Document:
    # RTF is ASCII; whatever else stands in it is in an encoding that striprtf reads from it.
    text = rtf_to_text(path.read_bytes().decode("latin-1"), errors="ignore")
    return Document("", _blocks(text))


def _blocks(text: str) -> Iterator[Block]:
    """striprtf ends the cells of a table with a bar each, and its rows with a line end."""
    for is_table, lines in groupby(text.split("\n"), lambda line: line.rstrip().endswith("|")):
        if is_table:
            grid = [line.rstrip().removesuffix("|").split("|") for line in lines]
            yield from sheet_rows(grid, has_header=False)
        else:
            yield Paragraph("\n".join(lines))
