"""XLSX and XLS -> blocks: each sheet that can be seen, under its name."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from retrieval.parse.blocks import Block, Document, Heading
from retrieval.parse.shown import shown
from retrieval.parse.tables import sheet_rows
from retrieval.types import ParseFailure

# Cell ranges (first row, last row, first column, last column), 0-based and inclusive.
Merged = Sequence[tuple[int, int, int, int]]

_MERGE = re.compile(rb'<(?:\w+:)?mergeCell\s+ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"')
_CHUNK = 2**20
_OVERLAP = 128  # bytes; longer than any mergeCell element


def read_xlsx(path: Path) -> Document:
    import openpyxl

    # By its bytes: of a path openpyxl believes the extension, which stored files lack.
    contents = io.BytesIO(path.read_bytes())
    book = openpyxl.load_workbook(contents, read_only=True, data_only=True)
    return Document((book.properties.title or "").strip(), _xlsx_blocks(path, book))


def _xlsx_blocks(path: Path, book: Any) -> Iterator[Block]:
    with zipfile.ZipFile(path) as archive:
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            sheet.reset_dimensions()  # those stated in the file may be anything
            # openpyxl, reading row by row, leaves merged cells to us.
            merged = _merged_cells(archive, sheet._worksheet_path)
            grid = ([_xlsx_cell(cell) for cell in row] for row in sheet.iter_rows())
            yield from _sheet(sheet.title, grid, merged)


def _xlsx_cell(cell: Any) -> str:
    return shown(cell.value, cell.number_format or "General") if cell.value is not None else ""


def _merged_cells(archive: zipfile.ZipFile, member: str) -> Merged:
    """The merged ranges of a sheet, which stand after its cells in the file."""
    merged = set()
    tail = b""
    with archive.open(member) as file:
        while chunk := file.read(_CHUNK):
            for left, top, right, bottom in _MERGE.findall(tail + chunk):
                merged.add((int(top) - 1, int(bottom) - 1, _column(left), _column(right)))
            tail = chunk[-_OVERLAP:]
    return sorted(merged)


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - ord("A") + 1
    return number - 1


def read_xls(path: Path) -> Document:
    """The blocks of an old Excel file. Raises ParseFailure."""
    import xlrd

    try:
        book = xlrd.open_workbook(path, formatting_info=True)
    except xlrd.XLRDError as error:
        if "encrypted" in str(error).lower():
            raise ParseFailure("password-protected") from None
        raise
    return Document("", _xls_blocks(book))


def _xls_blocks(book: Any) -> Iterator[Block]:
    for sheet in book.sheets():
        if sheet.visibility != 0:
            continue
        grid = (
            [_xls_cell(book, sheet.cell(i, j)) for j in range(sheet.ncols)]
            for i in range(sheet.nrows)
        )
        merged = [(top, end - 1, left, stop - 1) for top, end, left, stop in sheet.merged_cells]
        yield from _sheet(sheet.name, grid, sorted(merged))


def _xls_cell(book: Any, cell: Any) -> str:
    import xlrd

    if cell.ctype == xlrd.XL_CELL_DATE:
        return shown(xlrd.xldate_as_datetime(cell.value, book.datemode), "")
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return shown(bool(cell.value), "")
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        key = book.xf_list[cell.xf_index].format_key
        return shown(cell.value, book.format_map[key].format_str)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(cell.value, ""))
    return str(cell.value)


def _sheet(name: str, grid: Iterable[list[str]], merged: Merged) -> Iterator[Block]:
    blocks = sheet_rows(_with_merged(grid, merged), has_header=True)
    first = next(blocks, None)
    if first is not None:
        yield Heading(name)
        yield first
        yield from blocks


def _with_merged(grid: Iterable[list[str]], merged: Merged) -> Iterator[list[str | None]]:
    """The rows with merged cells laid out: their text repeated downwards, None rightwards."""
    above: dict[int, str] = {}  # column -> text of a range that started in an earlier row
    waiting = list(reversed(merged))
    current: list[tuple[int, int, int, int]] = []
    for number, texts in enumerate(grid):
        row: list[str | None] = list(texts)
        while waiting and waiting[-1][0] <= number:
            current.append(waiting.pop())
        current = [area for area in current if area[1] >= number]
        for top, _, left, right in current:
            row.extend([""] * (left + 1 - len(row)))
            if top == number:
                above[left] = row[left] or ""
            row[left] = above[left]
            right = min(right, len(row) - 1)
            row[left + 1 : right + 1] = [None] * (right - left)
        yield row
