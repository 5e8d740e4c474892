"""Real files as people have them: each is read or fails with a plain reason; offsets are exact."""

from itertools import pairwise
from pathlib import Path

import pytest

from retrieval.parse import ParserPool
from retrieval.parse.pdf import NO_TEXT
from retrieval.passages import split_passages
from retrieval.sentences import sentence_spans
from retrieval.types import Extracted, ParseFailure
from tests.retrieval.parse.reading_children import reading_children

FILES = Path(__file__).parents[3].parent / "shared" / "data" / "files"
PLAIN_REASONS = (
    "password-protected",
    "no text found: scanned?",
    "no text found",
    "empty file",
    "encrypted message",
    "unsupported type: ",
)

pytestmark = pytest.mark.skipif(not FILES.is_dir(), reason="needs ../shared/data/files")


@pytest.fixture(scope="module")
def results():
    paths = sorted(path for path in FILES.rglob("*") if path.is_file())
    with ParserPool(workers=2) as pool:
        found = pool.parse_many((path, path.name) for path in paths)
        read = {paths[i].relative_to(FILES).as_posix(): result for i, result in found}
    assert reading_children() == []
    return read


@pytest.fixture(scope="module")
def texts(results):
    return {name: r for name, r in results.items() if isinstance(r, Extracted)}


def test_every_file_is_read_or_fails_with_a_plain_reason(results, texts):
    assert len(results) > 190
    assert len(texts) >= 185
    failures = [result for result in results.values() if isinstance(result, ParseFailure)]
    assert all(failure.reason.startswith(PLAIN_REASONS) for failure in failures)
    assert all("\n" not in failure.reason for failure in failures)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pypdf/encryption/r3-user-password.pdf", "password-protected"),
        ("markitdown/MEDRPT-2024-PAT-3847_medical_report_scan.pdf", NO_TEXT),
        ("markitdown/test_files.zip", "unsupported type: ZIP archive"),
        ("unstructured/fake-doc-emphasized-text.doc", "unsupported type: DOC (old Word)"),
        ("unstructured/eml/fake-encrypted.eml", "encrypted message"),
        ("unstructured/empty.xlsx", "no text found"),
    ],
)
def test_known_failures(results, name, reason):
    assert results[name].reason == reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unstructured/stanley-cups.xlsx", "Team: Maple Leafs; Location: TOR; Stanley Cups: 13."),
        ("markitdown/test_mskanji.csv", "名前: 佐藤太郎; 年齢: 30; 住所: 東京."),
        ("unstructured/fake-text-utf-16-be.txt", "This is a test document to use for unit tests."),
        ("unstructured/pdf/multi-column-2p.pdf", "relies on efficient passage retrieval to select"),
        ("unstructured/fake.odt", "Header row: Leader; Mon: Sarah; Wed: Mark; Fri: Ryan."),
        ("unstructured/fake-power-point-table.pptx", "Column 1: Purple; Column 2: Orange;"),
        ("unstructured/rotated-page-90.pdf", "Hello World Test Text\n\nSecond line of text here"),
        ("markitdown/test_wikipedia.html", "Revenue: US$211.9 billion (2023)."),
        ("ntsb_pdf/data/v1/docs/20080124X00100.pdf", "the wooden propeller came apart"),
    ],
)
def test_known_words(texts, name, words):
    assert words in texts[name].text


def test_page_starts_lie_in_the_text_in_order(texts):
    for extracted in texts.values():
        starts = extracted.page_starts
        assert all(a <= b for a, b in pairwise(starts))
        assert not starts or (starts[0] == 0 and starts[-1] <= len(extracted.text))


def test_pages_begin_with_a_word(texts):
    for name, extracted in texts.items():
        begins = {extracted.text[start : start + 1] for start in extracted.page_starts}
        assert not any(begin.isspace() for begin in begins - {"\n"}), name  # an empty page: a gap


def test_passages_point_at_exactly_their_words(texts):
    for name, extracted in texts.items():
        text = extracted.text
        spans = split_passages(text, extracted.page_starts)
        held = [text[span.start : span.end] for span in spans]
        assert "".join("".join(part.split()) for part in held) == "".join(text.split()), name
        assert all(part == part.strip() for part in held), name
        for span in spans:
            bounds = [*extracted.page_starts, len(text)]
            page = sum(start <= span.start for start in extracted.page_starts) or None
            assert page is None or span.end <= bounds[page], name
            assert (span.page is None) == (not extracted.page_starts), name


def test_sentences_lose_nothing(texts):
    for name, extracted in texts.items():
        spans = sentence_spans(extracted.text)
        found = "".join("".join(extracted.text[a:b].split()) for a, b in spans)
        assert found == "".join(extracted.text.split()), name


def test_text_is_fit_for_storing_and_showing(texts):
    for name, extracted in texts.items():
        bad = {
            c for c in extracted.text if (c < " " and c not in "\n\t") or "\ud800" <= c <= "\udfff"
        }
        assert not bad, name
        assert extracted.title.strip(), name
