"""PDF: page starts, joined lines, and every character traceable to its place on the page."""

import io

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen import canvas

from retrieval.parse import ParserPool, extract
from retrieval.parse.pdf import page_texts
from retrieval.parse.pdf_view import page_view
from retrieval.types import ParseFailure

PAGES = (
    [
        "The contract runs for two",
        "years and three months and",
        "no longer. Either party may",
        "end it.",
    ],
    ["Fees are due in ad-", "vance, on the first Mon-", "day of March of every year."],
)


def write_pdf(path, pages=PAGES, rotate=0, **options):
    sheet = canvas.Canvas(str(path), pagesize=A4, **options)
    for lines in pages:
        sheet.setPageRotation(rotate)
        for i, line in enumerate(lines):
            sheet.drawString(72, 500 - 14 * i, line)
        sheet.showPage()
    sheet.save()
    return path


def test_pages_begin_where_they_say(tmp_path):
    extracted = extract(write_pdf(tmp_path / "a"), "contract.pdf")
    first, second = extracted.page_starts
    assert extracted.text[first:second].startswith("The contract runs for two years and")
    assert extracted.text[second:].startswith("Fees are due")
    assert extracted.media_type == "application/pdf"


def test_wrapped_lines_are_joined_and_deliberate_ones_are_not(tmp_path):
    lines = [
        "A long line that reaches the margin of the",
        "text and goes on here.",
        "Short",
        "Lines",
    ]
    text = extract(write_pdf(tmp_path / "a", [lines]), "a.pdf").text
    assert "margin of the text and goes on here." in text
    assert "Short\nLines" in text


def write_table(path, rows):
    sheet = canvas.Canvas(str(path), pagesize=A4)
    sheet.drawString(72, 760, "The table below has the figures of the year, by region and quarter.")
    for i, row in enumerate(rows):
        for column, text in enumerate(row):
            sheet.drawString(72 + 110 * column, 700 - 20 * i, text)
    sheet.drawString(72, 700 - 20 * len(rows) - 40, "After the table the text goes on.")
    sheet.save()
    return path


def test_rows_of_a_table_carry_their_header(tmp_path):
    rows = [["Region", "Sales", "Cost"], ["North", "1,200", "800"], ["South East", "950", "790"]]
    path = write_table(tmp_path / "t", rows)
    text = extract(path, "t.pdf").text
    assert "Region Sales Cost\nRegion: North; Sales: 1,200; Cost: 800." in text
    assert "Region: South East; Sales: 950; Cost: 790.\n\nAfter the table" in text
    start = text.index("South East; Sales: 950; Cost: 790.")
    view = page_view(path, 1, [(start, start + 33)], scale=2.0)
    found = {words_in(path, 1, box, view.height, 2.0) for box in view.boxes}
    assert found == {"South East", "950", "790"}


def test_a_row_may_lack_cells_and_the_first_column_a_name(tmp_path):
    rows = [["", "Sales", "Cost"], ["North", "", "800"], ["South", "950", "790"]]
    text = extract(write_table(tmp_path / "t", rows), "t.pdf").text
    assert "North; Cost: 800.\nSouth; Sales: 950; Cost: 790." in text


def test_cells_of_several_lines_are_read_whole(tmp_path):
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

    style = getSampleStyleSheet()["BodyText"]
    long = Paragraph("Riverbank fenced along the upper meadows", style)
    rows = [["Measure", "2023", "2024"], ["Trees planted", "131", "149"], [long, "2.1", "3.4"]]
    table = Table([*rows, ["Visits", "22", "31"]], colWidths=[100, 60, 60])
    SimpleDocTemplate(str(tmp_path / "t")).build([table])
    assert extract(tmp_path / "t", "t.pdf").text == (
        "Measure 2023 2024\n"
        "Measure: Trees planted; 2023: 131; 2024: 149.\n"
        "Measure: Riverbank fenced along the upper meadows; 2023: 2.1; 2024: 3.4.\n"
        "Measure: Visits; 2023: 22; 2024: 31."
    )


def test_a_form_is_no_table(tmp_path):
    rows = [
        ["Name: Ada", "Born: 1815"],
        ["City: London", "Age: 36"],
        ["Trade: Maths", "Year: 1843"],
    ]
    text = extract(write_table(tmp_path / "t", rows), "t.pdf").text
    assert "Name: Ada Born: 1815\nCity: London Age: 36\nTrade: Maths Year: 1843" in text


def test_the_title_is_the_documents_own_or_the_files_name(tmp_path):
    path = write_pdf(tmp_path / "a")
    assert extract(path, "annual_report.pdf").title == "annual report"


def test_what_was_filled_into_a_form_is_read_and_boxed(tmp_path):
    sheet = canvas.Canvas(str(tmp_path / "form"))
    sheet.drawString(72, 700, "Name:")
    sheet.acroForm.textfield(name="n", value="Ada Lovelace", x=120, y=695, width=200, height=20)
    sheet.save()
    text = extract(tmp_path / "form", "form.pdf").text
    start = text.index("Ada Lovelace")
    assert len(page_view(tmp_path / "form", 1, [(start, start + 12)]).boxes) == 1


def test_characters_know_where_they_came_from(tmp_path):
    document = pypdfium2.PdfDocument(write_pdf(tmp_path / "a"))
    for i, page in enumerate(page_texts(document)):
        raw = document[i].get_textpage()
        assert len(page.text) == len(page.sources)
        for character, source in zip(page.text, page.sources, strict=True):
            if source is not None and not character.isspace():
                assert raw.get_text_range(source, 1) in (character, "\ufffe")
    document.close()


def words_in(path, page, box, height, scale):
    """What the PDF library itself reads inside a box of the picture."""
    document = pypdfium2.PdfDocument(path)
    area = (box.left, height - box.bottom, box.right, height - box.top)
    left, bottom, right, top = (edge / scale for edge in area)
    text = (
        document[page - 1].get_textpage().get_text_bounded(left - 1, bottom - 1, right + 1, top + 1)
    )
    document.close()
    return text.strip()


def test_boxes_hold_the_words_of_a_span_line_by_line(tmp_path):
    path = write_pdf(tmp_path / "a")
    text = extract(path, "a.pdf").text
    start = text.index("two years")
    view = page_view(path, 1, [(start, start + len("two years"))], scale=2.0)
    found = [words_in(path, 1, box, view.height, 2.0) for box in view.boxes]
    assert found == ["two", "years"]
    assert Image.open(io.BytesIO(view.png)).size == (view.width, view.height)


def test_boxes_follow_a_word_cut_by_a_hyphen(tmp_path):
    path = write_pdf(tmp_path / "a", [["Fees are due in ad-", "vance, every year."]])
    text = extract(path, "a.pdf").text
    start = text.index("ad")
    view = page_view(path, 1, [(start, text.index(","))], scale=2.0)
    assert len(view.boxes) == 2


def test_spans_count_from_the_start_of_their_page(tmp_path):
    path = write_pdf(tmp_path / "a")
    extracted = extract(path, "a.pdf")
    start = extracted.text.index("Fees")
    assert page_view(path, 1, [(start, start + 4)]).boxes == ()
    start -= extracted.page_starts[1]
    assert len(page_view(path, 2, [(start, start + 4)]).boxes) == 1


@pytest.mark.parametrize("rotate", [90, 180, 270])
def test_boxes_turn_with_the_page(tmp_path, rotate):
    path = write_pdf(tmp_path / "a", rotate=rotate)
    upright = page_view(write_pdf(tmp_path / "b"), 1, [(0, 3)])
    turned = page_view(path, 1, [(0, 3)])
    assert extract(path, "a.pdf").text == extract(tmp_path / "b", "a.pdf").text
    assert len(turned.boxes) == 1
    box = turned.boxes[0]
    assert dark_pixels(turned, box) == pytest.approx(
        dark_pixels(upright, upright.boxes[0]), rel=0.2
    )


def dark_pixels(view, box):
    picture = Image.open(io.BytesIO(view.png)).convert("L")
    part = picture.crop((int(box.left), int(box.top), int(box.right), int(box.bottom)))
    return sum(value < 128 for value in part.get_flattened_data())


def test_words_off_the_page_have_no_box(tmp_path):
    sheet = canvas.Canvas(str(tmp_path / "off"), pagesize=(300, 300))
    sheet.drawString(72, 200, "On the page.")
    sheet.drawString(72, 900, "Above it.")
    sheet.save()
    text = extract(tmp_path / "off", "off.pdf").text
    assert len(page_view(tmp_path / "off", 1, [(0, len(text))]).boxes) == 1


def test_a_view_comes_through_the_pool_too(tmp_path):
    path = write_pdf(tmp_path / "a")
    with ParserPool() as pool:
        assert pool.page_view(path, 1, [(0, 3)]) == page_view(path, 1, [(0, 3)])
        with pytest.raises(ParseFailure, match="no page 9"):
            pool.page_view(path, 9, [])


def test_reasons_a_person_understands(tmp_path):
    locked = write_pdf(tmp_path / "locked", encrypt=StandardEncryption("secret"))
    with pytest.raises(ParseFailure, match=r"^password-protected$"):
        extract(locked, "locked.pdf")
    blank = write_pdf(tmp_path / "blank", [[]])
    with pytest.raises(ParseFailure, match=r"^no text found: scanned\? \(OCR is off"):
        extract(blank, "blank.pdf")
    cut = tmp_path / "cut"
    cut.write_bytes(b"%PDF-1.7\n" + b"garbage " * 50)
    with pytest.raises(ParseFailure, match=r"^damaged PDF"):
        extract(cut, "cut.pdf")


def test_type_is_by_content(tmp_path):
    assert extract(write_pdf(tmp_path / "a"), "notes.txt").media_type == "application/pdf"
