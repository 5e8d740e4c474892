"""Which files and corpora a user's paths mean, and which lines of a corpus are no documents."""

import json

import pytest

from retrieval.ingest.sources import (
    BadLine,
    CorpusEntry,
    CorpusSource,
    FileSource,
    find_sources,
    read_corpus,
)
from retrieval.types import RetrievalError


def names(sources):
    return [source.name for source in sources]


def test_folders_are_searched_through_in_order(tmp_path):
    for name in ("b.txt", "a/z.txt", "a/y.pdf", ".hidden", "a/.git/config", ".secret/x.txt"):
        path = tmp_path / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    assert names(find_sources([tmp_path / "docs"])) == ["a/y.pdf", "a/z.txt", "b.txt"]


def test_links_are_not_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("x")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "mine.txt").write_text("x")
    (docs / "link.txt").symlink_to(tmp_path / "outside" / "secret.txt")
    (docs / "folder").symlink_to(tmp_path / "outside")
    (docs / "round").symlink_to(docs)
    assert names(find_sources([docs])) == ["mine.txt"]


def test_what_is_not_there(tmp_path):
    with pytest.raises(RetrievalError, match="no such file"):
        find_sources([tmp_path / "nothing"])


def test_corpora_are_known_by_content(tmp_path):
    beir = tmp_path / "beir"
    beir.mkdir()
    (beir / "corpus.jsonl").write_text('{"_id": "1", "title": "", "text": "x"}\n')
    (tmp_path / "other.jsonl").write_text('{"_id": "1", "title": "", "text": "x"}\n')
    (tmp_path / "log.jsonl").write_text('{"event": "x"}\n')
    (tmp_path / "psgs.tsv").write_text("id\ttext\ttitle\n1\tx\ty\n")
    (tmp_path / "table.tsv").write_text("a\tb\n1\t2\n")
    paths = [beir, *(tmp_path / n for n in ("other.jsonl", "log.jsonl", "psgs.tsv", "table.tsv"))]
    assert [type(source) for source in find_sources(paths)] == [
        CorpusSource,
        CorpusSource,
        FileSource,
        CorpusSource,
        FileSource,
    ]


def test_bad_lines_are_named_and_the_rest_goes_on(tmp_path):
    path = tmp_path / "corpus.jsonl"
    lines = [json.dumps({"_id": str(n), "title": f"t{n}", "text": f"x{n}"}) for n in range(1, 10)]
    lines[1] = '{"_id": "2", "text": '
    lines[2] = '["a list"]'
    lines[3] = '{"text": "no id"}'
    lines[4] = '{"_id": "5", "title": "", "text": " "}'
    lines[5] = '{"_id": "6", "text": ["a", "b"]}'
    lines[6] = '{"_id": 7, "text": "a number for an id, and no title"}'
    path.write_text("\n".join(lines) + "\n\n")
    found = list(read_corpus(path))
    assert [entry.id for entry in found if isinstance(entry, CorpusEntry)] == ["1", "7", "8", "9"]
    bad = {entry.line: entry.reason for entry in found if isinstance(entry, BadLine)}
    assert list(bad) == [2, 3, 4, 5, 6]
    assert "not JSON" in bad[2]
    assert "not a JSON object" in bad[3]
    assert "no _id" in bad[4]
    assert "neither title nor text" in bad[5]
    assert "must be strings" in bad[6]


def test_a_dpr_table_is_read_with_its_quotes(tmp_path):
    path = tmp_path / "psgs_w100.tsv"
    path.write_text(
        'id\ttext\ttitle\n1\t"He said ""no"" to\tthat"\tNo\n2\tplain\n3\t\tEmpty\n4\tlast\tLast\n'
    )
    found = list(read_corpus(path))
    assert found[0] == CorpusEntry("1", "No", 'He said "no" to\tthat')
    assert [entry.line for entry in found if isinstance(entry, BadLine)] == [3, 4]
    assert found[3] == CorpusEntry("4", "Last", "last")


def test_halves_of_characters_and_nuls_are_replaced(tmp_path):
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"_id": "a", "title": "t\\ud800", "text": "x\\u0000y"}\n')
    assert list(read_corpus(path)) == [CorpusEntry("a", "t?", "x y")]


def test_names_that_are_no_text_are_made_one(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "caf\udce9.txt").write_text("x")
    assert names(find_sources([tmp_path / "docs"])) == ["caf?.txt"]
