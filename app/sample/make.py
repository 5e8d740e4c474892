"""Write the sample's PDF, DOCX, PPTX, XLSX and HTML from their plain sources.

Run it as `python -m app.sample.make` after changing a source; it needs the `dev` extra. The same
sources give the same bytes: no clock, no random ids. Plain formats need no making and live in
documents/ as they were written.
"""

import csv
import html
import io
import re
import zipfile
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from app.console import say
from app.sample import FOLDER
from app.sample.blocks import Block, Heading, Items, Paragraph, Table, read_blocks

DATE = datetime(2025, 11, 1, 9, 0, 0)  # what every file says of its own creation
DATE_XML = DATE.strftime("%Y-%m-%dT%H:%M:%SZ").encode()


def pdf(blocks: list[Block]) -> bytes:
    """An A4 document with a running foot and page numbers."""
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.units import cm
    from reportlab.platypus import SimpleDocTemplate

    title = title_of(blocks)
    out = io.BytesIO()
    page = SimpleDocTemplate(
        out, pagesize=A4, margin=2 * cm, title=title, author="The Elderwater Trust", invariant=1
    )

    def foot(canvas, document) -> None:  # type: ignore[no-untyped-def]
        canvas.setFont("Helvetica", 8)
        canvas.drawString(2.5 * cm, 1.4 * cm, title)
        canvas.drawRightString(A4[0] - 2.5 * cm, 1.4 * cm, f"page {document.page}")

    page.build([flow for block in blocks for flow in _flowables(block)], foot, foot)
    return out.getvalue()


def _flowables(block: Block) -> Iterable[object]:
    """What reportlab sets for one block."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import ListFlowable, Spacer
    from reportlab.platypus import Paragraph as Set

    styles = getSampleStyleSheet()
    body = styles["BodyText"]
    match block:
        case Heading(level, text):
            yield Set(html.escape(text), styles["Title" if level == 1 else f"Heading{level}"])
        case Paragraph(text):
            yield Set(html.escape(text), body)
        case Items(items, numbered):
            entries = [Set(html.escape(item), body) for item in items]
            yield ListFlowable(entries, bulletType="1" if numbered else "bullet")
        case Table(rows):
            yield _pdf_table(rows, body)
            yield Spacer(1, 8)


def _pdf_table(rows: tuple[tuple[str, ...], ...], style: object) -> object:
    from reportlab.lib import colors
    from reportlab.platypus import Paragraph as Set
    from reportlab.platypus import Table as Grid
    from reportlab.platypus import TableStyle

    look = [
        ("GRID", (0, 0), (-1, -1), 0.4, colors.grey),
        ("BACKGROUND", (0, 0), (-1, 0), colors.whitesmoke),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
    ]
    cells = [[Set(html.escape(cell), style) for cell in row] for row in rows]
    return Grid(cells, style=TableStyle(look), repeatRows=1)


def docx(blocks: list[Block]) -> bytes:
    """A Word document with built-in styles only."""
    import docx

    document = docx.Document()
    _stamp(document.core_properties, title_of(blocks))
    for block in blocks:
        match block:
            case Heading(level, text):
                document.add_heading(text, level - 1)
            case Paragraph(text):
                document.add_paragraph(text)
            case Items(items, numbered):
                for item in items:
                    document.add_paragraph(item, "List Number" if numbered else "List Bullet")
            case Table(rows):
                grid = document.add_table(len(rows), len(rows[0]), "Table Grid")
                _fill(grid, rows)
    return _saved(document.save)


def pptx(blocks: list[Block]) -> bytes:
    """Slides: a new one at every heading; a quotation becomes the speaker's note of its slide."""
    import pptx
    from pptx.util import Inches

    deck = pptx.Presentation()
    _stamp(deck.core_properties, title_of(blocks))
    slide = None
    for block in blocks:
        if isinstance(block, Heading):
            slide = deck.slides.add_slide(deck.slide_layouts[0 if block.level == 1 else 1])
            slide.shapes.title.text = block.text
            continue
        if slide is None:
            raise ValueError("slides begin with a heading")
        match block:
            case Paragraph(text, quoted=True):
                slide.notes_slide.notes_text_frame.text = text
            case Paragraph(text):
                _add_lines(slide, [text])
            case Items(items):
                _add_lines(slide, items)
            case Table(rows):
                place = (Inches(0.6), Inches(4.2), Inches(8.8), Inches(0.4 * len(rows)))
                _fill(slide.shapes.add_table(len(rows), len(rows[0]), *place).table, rows)
    return _saved(deck.save)


def _add_lines(slide, lines: Iterable[str]) -> None:  # type: ignore[no-untyped-def]
    """Append paragraphs to the slide's text box."""
    frame = slide.placeholders[1].text_frame
    for line in lines:
        paragraph = frame.paragraphs[0] if not frame.text else frame.add_paragraph()
        paragraph.text = line


def _fill(grid, rows: tuple[tuple[str, ...], ...]) -> None:  # type: ignore[no-untyped-def]
    for i, row in enumerate(rows):
        for j, text in enumerate(row):
            grid.cell(i, j).text = text


def xlsx(sheets: dict[str, list[list[str]]]) -> bytes:
    """A workbook with one sheet a table; whole numbers and dates are stored as such."""
    import openpyxl
    from openpyxl.styles import Font

    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([_cell(text) for text in row])
        for cell in sheet[1]:
            cell.font = Font(bold=True)
        sheet.freeze_panes = "A2"
    _stamp(book.properties, "Budget and equipment")
    return _saved(book.save)


def _cell(text: str) -> object:
    """A cell's value: an integer, a day, or the text."""
    if text.isdigit():
        return int(text)
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return text


def web_page(blocks: list[Block]) -> bytes:
    """A web page with the navigation and the foot that a real one carries."""
    title = html.escape(title_of(blocks))
    body = "\n".join(_html(block) for block in blocks)
    return f"""<!DOCTYPE html>
<html lang="en-GB">
<head><meta charset="utf-8"><title>{title} | The Elderwater Trust</title></head>
<body>
<nav><a href="/">Home</a> <a href="/visit">Visit</a> <a href="/join">Join us</a></nav>
<main><article>
{body}
</article></main>
<footer>The Elderwater Trust, Old Toll House, Marl Bridge, Hathersby</footer>
</body>
</html>
""".encode()


def _html(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"<h{level}>{html.escape(text)}</h{level}>"
        case Paragraph(text):
            return f"<p>{html.escape(text)}</p>"
        case Items(items, numbered):
            tag = "ol" if numbered else "ul"
            return f"<{tag}>" + "".join(f"<li>{html.escape(i)}</li>" for i in items) + f"</{tag}>"
        case Table(rows):
            lines = []
            for n, row in enumerate(rows):
                tag = "td" if n else "th"
                lines.append("".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row))
            return "<table>\n" + "\n".join(f"<tr>{line}</tr>" for line in lines) + "\n</table>"


def title_of(blocks: list[Block]) -> str:
    """The text of the first heading."""
    return next(block.text for block in blocks if isinstance(block, Heading))


def _stamp(properties, title: str) -> None:  # type: ignore[no-untyped-def]
    """Fixed metadata in place of the clock and the library's name."""
    properties.title = title
    properties.creator = properties.author = "The Elderwater Trust"
    properties.created = properties.modified = DATE


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    """An office file with fixed times inside its archive."""
    raw, out = io.BytesIO(), io.BytesIO()
    save(raw)
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            entry = zipfile.ZipInfo(name, DATE.timetuple()[:6])
            data = old.read(name)
            if name == "docProps/core.xml":  # openpyxl writes the clock whatever it is told
                data = re.sub(rb"\d{4}(-\d\d){2}T(\d\d:){2}\d\dZ", DATE_XML, data)
            new.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


RECIPES: dict[str, tuple[Callable[[list[Block]], bytes], str]] = {
    "annual-report-2025.pdf": (pdf, "annual-report-2025.md"),
    "field-protocol.pdf": (pdf, "field-protocol.md"),
    "volunteer-handbook.docx": (docx, "volunteer-handbook.md"),
    "minutes-2025-03-11.docx": (docx, "minutes-2025-03-11.md"),
    "pennock-weir-briefing.pptx": (pptx, "pennock-weir-briefing.md"),
    "newsletter-spring-2025.html": (web_page, "newsletter-spring-2025.md"),
}
SHEETS = {"Budget": "budget-2025-26.csv", "Equipment": "equipment-register.csv"}


def make(out: Path, source: Path = FOLDER / "source") -> list[Path]:
    """Write every made document into `out` and return the paths."""
    made = {
        name: write(read_blocks((source / text).read_text("utf-8")))
        for name, (write, text) in RECIPES.items()
    }
    tables = {
        sheet: list(csv.reader(io.StringIO((source / name).read_text("utf-8"))))
        for sheet, name in SHEETS.items()
    }
    made["budget-and-equipment.xlsx"] = xlsx(tables)
    out.mkdir(parents=True, exist_ok=True)
    for name, data in made.items():
        (out / name).write_bytes(data)
    return [out / name for name in made]


if __name__ == "__main__":
    for path in make(FOLDER / "documents"):
        say(f"{path.name}: {path.stat().st_size:,} bytes")
