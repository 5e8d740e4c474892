"""The sample collection is made from its sources, and its answers are in its documents."""

import pytest

from app.sample import FOLDER, sample_files, sample_questions
from app.sample.blocks import Heading, Items, Paragraph, Table, read_blocks
from retrieval.parse import extract


def squeeze(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.name: squeeze(extract(path, path.name).text) for path in sample_files()}


def test_markdown_becomes_flat_blocks():
    source = "# Title\n\nTwo\nlines.\n\n> A note.\n\n1. one\n2. two\n\n|a|b|\n|-|-|\n|1|2|\n"
    assert read_blocks(source) == [
        Heading(1, "Title"),
        Paragraph("Two lines."),
        Paragraph("A note.", quoted=True),
        Items(("one", "two"), numbered=True),
        Table((("a", "b"), ("1", "2"))),
    ]


def test_a_block_no_format_can_show_is_refused():
    with pytest.raises(ValueError, match="fence"):
        read_blocks("```\ncode\n```\n")


def test_twelve_documents_under_a_megabyte():
    files = sample_files()
    assert len(files) == 12
    assert sum(path.stat().st_size for path in files) < 1_000_000
    formats = {path.suffix for path in files}
    assert formats == {
        ".pdf", ".docx", ".pptx", ".xlsx", ".html", ".md", ".txt", ".csv", ".eml",
    }  # fmt: skip


def test_making_again_gives_the_same_text(tmp_path, texts):
    pytest.importorskip("reportlab", reason="making the PDFs needs the dev requirements")
    from app.sample.make import make

    for path in make(tmp_path):
        assert squeeze(extract(path, path.name).text) == texts[path.name]


def test_thirty_questions_with_answers_and_ten_without():
    questions = sample_questions()
    assert [bool(q.answers) for q in questions] == [True] * 30 + [False] * 10
    assert len({q.question for q in questions}) == 40
    assert 4 <= sum(q.example for q in questions) <= 8
    names = {path.name for path in (FOLDER / "documents").iterdir()}
    assert {name for q in questions for name in q.documents} == names


def test_every_answer_is_in_its_documents(texts):
    missing = [
        (q.question, name)
        for q in sample_questions()
        for name in q.documents
        if not any(answer in texts[name] for answer in q.answers)
    ]
    assert missing == []
