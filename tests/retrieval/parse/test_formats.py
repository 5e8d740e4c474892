"""What each kind of file gives, on files made by the libraries that write them."""

import datetime as dt
import zipfile

import docx
import openpyxl
import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches

from retrieval.parse import extract
from retrieval.types import ParseFailure


def text_of(path, content, name=None):
    """The text of a file with this content."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return extract(path, name or path.name).text


def test_docx(tmp_path):
    document = docx.Document()
    document.core_properties.title = "Lease"
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.add_heading("Rent", 1)
    document.add_paragraph("The rent is due monthly.")
    document.add_paragraph("by transfer", style="List Bullet")
    table = document.add_table(rows=3, cols=3)
    for row, cells in enumerate((("Flat", "Floor", "Rent"), ("A", "1", "900"), ("B", "2", "950"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    document.save(tmp_path / "lease")
    extracted = extract(tmp_path / "lease", "lease.docx")
    assert extracted.title == "Lease"
    assert extracted.page_starts == ()
    assert extracted.text == (
        "Confidential\n\nRent\n\nThe rent is due monthly.\n\n- by transfer\n"
        "Flat: A; Floor: 1; Rent: 900.\nFlat: B; Floor: 2; Rent: 950."
    )


def test_docx_merged_cells(tmp_path):
    document = docx.Document()
    table = document.add_table(rows=3, cols=3)
    for row, cells in enumerate((("Region", "Sales", ""), ("North", "Q1", "5"), ("", "Q2", "6"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    table.cell(0, 1).merge(table.cell(0, 2))
    table.cell(1, 0).merge(table.cell(2, 0))
    document.save(tmp_path / "m.docx")
    assert extract(tmp_path / "m.docx", "m.docx").text == (
        "Region: North; Sales: Q1; Sales: 5.\nRegion: North; Sales: Q2; Sales: 6."
    )


def test_pptx(tmp_path):
    deck = pptx.Presentation()
    first = deck.slides.add_slide(deck.slide_layouts[1])
    first.shapes.title.text = "Roadmap"
    first.placeholders[1].text = "Ship it\nTest it"
    first.notes_slide.notes_text_frame.text = "Mention the date."
    second = deck.slides.add_slide(deck.slide_layouts[5])
    second.shapes.title.text = "Costs"
    table = second.shapes.add_table(2, 2, Inches(1), Inches(1), Inches(4), Inches(1)).table
    for row, cells in enumerate((("Item", "Cost"), ("Server", "12"))):
        for column, text in enumerate(cells):
            table.cell(row, column).text = text
    chart = CategoryChartData()
    chart.categories = ["Q1", "Q2"]
    chart.add_series("Revenue", (1.5, 2))
    place = (Inches(1), Inches(3), Inches(4), Inches(3))
    second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, *place, chart)
    deck.save(tmp_path / "d")
    extracted = extract(tmp_path / "d", "deck.pptx")
    pages = [extracted.text[start:] for start in extracted.page_starts]
    assert pages[0].startswith("Roadmap\n\n- Ship it\n- Test it\n\nMention the date.\n\nCosts")
    assert pages[1] == ("Costs\n\nItem: Server; Cost: 12.\nQ1; Revenue: 1.5.\nQ2; Revenue: 2.")


def test_xlsx(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Sales"
    sheet.append(["Region", "Day", "Share", "Total"])
    sheet.append(["North", dt.date(2024, 3, 1), 0.125, 1234.5])
    sheet.append(["", dt.date(2024, 3, 2), 0.25, 8])
    sheet["C2"].number_format = sheet["C3"].number_format = "0.0%"
    sheet["D2"].number_format = "$#,##0.00"
    sheet.merge_cells("A2:A3")
    book.create_sheet("Hidden").sheet_state = "hidden"
    book["Hidden"].append(["secret", "draft"])
    book.save(tmp_path / "x")
    assert extract(tmp_path / "x", "x.xlsx").text == (
        "Sales\n\nRegion: North; Day: 2024-03-01; Share: 12.5%; Total: $1,234.50.\n"
        "Region: North; Day: 2024-03-02; Share: 25.0%; Total: 8."
    )


def test_html(tmp_path):
    page = """<!DOCTYPE html><html><head><title>News</title><script>x()</script></head><body>
      <nav><a href=/>Home</a></nav><h1>Head<b>line</b></h1><p>First &amp; only<br>line.</p>
      <ul><li>one<li>two <ul><li>deeper</ul></ul><p hidden>gone</p><pre>a\n  b</pre>
      <table><caption>Prices</caption><tr><th rowspan=2>Item<th colspan=2>Price
      <tr><th>old<th>new<tr><td>Tea<td>2<td>3</table></body></html>"""
    assert text_of(tmp_path / "page.txt", page) == (
        "Headline\n\nFirst & only\nline.\n\n- one\n- two\n- deeper\n\na\nb\n\nPrices\n\n"
        "Item: Tea; Price old: 2; Price new: 3."
    )
    assert extract(tmp_path / "page.txt", "page.txt").title == "News"


def test_html_nested_very_deep(tmp_path):
    assert "x" in text_of(tmp_path / "deep.html", "<html>" + "<div>" * 3000 + "x")


def test_markdown(tmp_path):
    source = (
        "---\nauthor: Ada\n---\n# Title\n\nSome *marked* `text`\nwrapped.\n\n1. one\n2. two\n\n"
        "| Name | Born |\n|---|---|\n| Ada | 1815 |\n\n```py\nx = 1\n```\n"
    )
    assert text_of(tmp_path / "a.md", source) == (
        "author: Ada\n\nTitle\n\nSome marked text wrapped.\n\n- one\n- two\n"
        "Name: Ada; Born: 1815.\n\nx = 1"
    )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimited(tmp_path, delimiter):
    lines = [["name", "city", "age"], ["Ada", '"London"', "36"], ["Alan", "Wilmslow", "41"]]
    source = "\n".join(delimiter.join(line) for line in lines)
    assert text_of(tmp_path / "a.csv", source) == (
        "name: Ada; city: London; age: 36.\nname: Alan; city: Wilmslow; age: 41."
    )


def test_json_and_json_lines(tmp_path):
    assert text_of(tmp_path / "a.json", '{"a": 1, "b": {"c": ["x", "y"], "d": null}}') == (
        "a: 1.\nb.d: null.\nb.c: x, y."
    )
    assert text_of(tmp_path / "b.jsonl", '{"n": "Ada"}\n{"n": "Alan"}\n') == "n: Ada.\nn: Alan."
    assert text_of(tmp_path / "c.json", "{broken") == "{broken"


def test_xml(tmp_path):
    source = "<?xml version='1.0'?><list><book><title>Emma</title><year>1815</year></book></list>"
    assert text_of(tmp_path / "a.xml", source) == "title: Emma; year: 1815."


def test_email(tmp_path):
    source = (
        "From: ada@example.com\r\nTo: alan@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        "Date: Fri, 1 Mar 2024 09:30:00 +0000\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n"
        "--b\r\nContent-Type: application/pdf\r\n"
        'Content-Disposition: attachment; filename="plan.pdf"\r\n\r\nxxxx\r\n--b--\r\n'
    )
    assert text_of(tmp_path / "mail", source) == (
        "Grüße\n\nFrom: ada@example.com\nTo: alan@example.com\n"
        "Date: Fri, 01 Mar 2024 09:30:00 +0000\n\nSee the file.\n\n- Attachment: plan.pdf"
    )


def test_rtf(tmp_path):
    source = r"{\rtf1\ansi Caf\'e9 costs \b three\b0  euros.\par Second line.}"
    assert text_of(tmp_path / "a.doc", source) == "Café costs three euros.\nSecond line."


def test_epub(tmp_path):
    with zipfile.ZipFile(tmp_path / "b", "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
        archive.writestr(
            "META-INF/container.xml",
            "<container><rootfiles><rootfile full-path='in/o.opf'/></rootfiles></container>",
        )
        archive.writestr(
            "in/o.opf",
            "<package xmlns:dc='d'><metadata><dc:title>Emma</dc:title></metadata><manifest>"
            "<item id='b' href='b%20c.xhtml'/><item id='a' href='a.xhtml'/></manifest>"
            "<spine><itemref idref='a'/><itemref idref='b'/></spine></package>",
        )
        chapter = "<?xml version='1.0'?><html><head><title/></head><body><p>{}</p></body></html>"
        archive.writestr("in/a.xhtml", chapter.format("Chapter one."))
        archive.writestr("in/b c.xhtml", chapter.format("Chapter two."))
    extracted = extract(tmp_path / "b", "emma.epub")
    assert (extracted.title, extracted.text) == ("Emma", "Chapter one.\n\nChapter two.")


@pytest.mark.parametrize("kind", ["text", "spreadsheet", "presentation"])
def test_opendocument(tmp_path, kind):
    table = (
        "<t:table><t:table-row><t:table-cell><x:p>Name</x:p></t:table-cell><t:table-cell><x:p>Age"
        "</x:p></t:table-cell></t:table-row><t:table-row><t:table-cell><x:p>Ada</x:p></t:table-cell>"
        "<t:table-cell><x:p>36</x:p></t:table-cell></t:table-row></t:table>"
    )
    with zipfile.ZipFile(tmp_path / "o", "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml",
            "<o xmlns:x='text' xmlns:t='table'><body><x:h>Head</x:h><x:p>One<x:tab/>two</x:p>"
            f"{table}</body></o>",
        )
    assert extract(tmp_path / "o", "o.odt").text == "Head\n\nOne two\n\nName: Ada; Age: 36."


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b" \n\t", "empty file"),
        (b"\x89PNG\r\n\x1a\n....", "unsupported type: PNG image"),
        (b"\xff\xd8\xff\xe0....", "unsupported type: JPEG image"),
        (b"\x7fELF....", "unsupported type: program"),
        (b"abc\x00\x01\x02\x03\x04" * 100, "unsupported type: binary data"),
        (b"PK\x03\x04 and then nothing", "damaged file: its ZIP container cannot be read"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 cut", "damaged file: its OLE container cannot be read"),
        (b"{\\rtf1 }", "no text found"),
    ],
)
def test_reasons(tmp_path, content, reason):
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(ParseFailure) as failure:
        extract(path, "report.pdf")
    assert failure.value.reason == reason


def test_a_zip_of_files_is_not_a_document(tmp_path):
    with zipfile.ZipFile(tmp_path / "z", "w") as archive:
        archive.writestr("a.txt", "text")
    with pytest.raises(ParseFailure, match=r"^unsupported type: ZIP archive$"):
        extract(tmp_path / "z", "z.docx")
