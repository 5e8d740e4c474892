"""PPTX -> blocks: each slide a page, its title first, its notes last."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading, Item, PageStart, Paragraph
from retrieval.parse.headers import Cells
from retrieval.parse.tables import rows, sheet_rows


def read_pptx(path: Path) -> Document:
    import pptx

    presentation = pptx.Presentation(str(path))
    return Document(presentation.core_properties.title.strip(), _blocks(presentation))


def _blocks(presentation: Any) -> Iterator[Block]:
    for slide in presentation.slides:
        yield PageStart()
        title = slide.shapes.title
        if title is not None and title.has_text_frame:
            yield Heading(title.text_frame.text)
        others = (s for s in slide.shapes if title is None or s.shape_id != title.shape_id)
        yield from _shapes(others)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            yield Paragraph(slide.notes_slide.notes_text_frame.text)


def _shapes(shapes: Iterable[Any]) -> Iterator[Block]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        elif getattr(shape, "has_table", False):
            yield from _table(shape.table)
        elif getattr(shape, "has_chart", False):
            yield from _chart(shape.chart)
        elif shape.has_text_frame:
            yield from _frame(shape)


def _frame(shape: Any) -> Iterator[Block]:
    paragraphs = [p.text.replace("\v", "\n") for p in shape.text_frame.paragraphs]
    listed = shape.is_placeholder and sum(bool(text.strip()) for text in paragraphs) > 1
    for text in paragraphs:
        yield Item(text) if listed else Paragraph(text)


def _table(table: Any) -> Iterator[Block]:
    grid: list[Cells] = []
    for i, line in enumerate(table.rows):
        row: list[str | None] = []
        for j, cell in enumerate(line.cells):
            row.append(_cell(table, cell, i, j))
        grid.append(row)
    has_header = table.first_row and len(grid) > 1
    yield from rows(grid, 1) if has_header else sheet_rows(grid, has_header=False)


def _cell(table: Any, cell: Any, row: int, column: int) -> str | None:
    """A cell's text; that of the cell it is merged into from below; None if merged leftwards."""
    if not cell.is_spanned:
        return str(cell.text)
    left = table.cell(row, column - 1) if column else None
    if left is not None and (left.is_merge_origin and left.span_width > 1):
        return None
    above = table.cell(row - 1, column) if row else None
    if above is not None and above.is_merge_origin:
        return str(above.text)
    return None if left is not None and left.is_spanned else ""


def _chart(chart: Any) -> Iterator[Block]:
    """A chart as the table it was drawn from."""
    if chart.has_title and chart.chart_title.has_text_frame:
        yield Paragraph(chart.chart_title.text_frame.text)
    for plot in chart.plots:
        series = list(plot.series)
        header = ["", *(one.name or "" for one in series)]
        values = zip(*(one.values for one in series), strict=False)
        lines = zip((str(category) for category in plot.categories), values, strict=False)
        body = [[name, *(_number(v) for v in line)] for name, line in lines]
        yield from rows([header, *body], 1)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
