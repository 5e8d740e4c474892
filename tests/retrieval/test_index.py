"""Searching, changing, and the one commit point; the encoder is the real one."""

import json
import os
import shutil
import sqlite3
import stat

import numpy as np
import pytest

from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.storage.store import Store
from retrieval.storage.verify import verify_index
from retrieval.types import (
    Extracted,
    IndexDamaged,
    IndexMismatch,
    Mode,
    NotAnIndex,
    RetrievalError,
)
from tests.retrieval.conftest import TEXTS, extracted, holding

pytestmark = pytest.mark.java
WORD = "zyzzyva"


@pytest.fixture
def index(small_index):
    opened = Index.open(small_index)
    yield opened
    opened.close()


@pytest.fixture
def copy(small_index, tmp_path):
    return shutil.copytree(small_index, tmp_path / "copy")


@pytest.mark.parametrize("mode", list(Mode))
def test_every_mode_finds_the_answer(index, mode):
    hits = index.search("Who planted the apple trees?", k=2, mode=mode)
    assert hits[0].passage_id == "orchard#0"
    assert set(hits[0].parts) == {"bm25": {"bm25"}, "dense": {"dense"}}.get(mode, {"bm25", "dense"})
    assert [part.rank for part in hits[0].parts.values()] == [1] * len(hits[0].parts)
    assert index.search("Who planted the apple trees?", k=2, mode=mode) == hits


def test_parts_are_the_retrievers_own_scores(index):
    question = "a beekeeper beside the river"
    lexical = {h.passage_id: h.score for h in index.search(question, mode=Mode.BM25)}
    dense = {h.passage_id: h.score for h in index.search(question, mode=Mode.DENSE)}
    for hit in index.search(question):
        assert hit.parts["dense"].score == dense[hit.passage_id]
        assert ("bm25" in hit.parts) == (hit.passage_id in lexical)
        if "bm25" in hit.parts:
            assert hit.parts["bm25"].score == lexical[hit.passage_id]


def test_many_questions_give_what_one_gives(index):
    questions = ["apple trees", "", "who built the press?", "the of"]
    found = index.search_many(questions, k=3)
    for question, hits in zip(questions, found, strict=True):
        alone = index.search(question, k=3)
        assert [h.passage_id for h in hits] == [h.passage_id for h in alone]
        assert [h.score for h in hits] == pytest.approx([h.score for h in alone], abs=1e-5)


@pytest.mark.parametrize("mode", list(Mode))
def test_a_search_may_be_limited_to_documents(index, mode):
    hits = index.search("apples and trees", mode=mode, documents=["bees", "press", "nobody"])
    assert {hit.passage_id.split("#")[0] for hit in hits} <= {"bees", "press"}
    assert hits
    assert index.search("apples and trees", mode=mode, documents=[]) == []


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(
    "question", ["", "  \n", "x" * 100_000, "apple " * 17_000, "half \ud800 a character \0"]
)
def test_odd_questions_are_no_trouble(index, mode, question):
    assert len(index.search(question, k=1_000, mode=mode)) <= len(TEXTS)


def test_stop_words_find_nothing_by_bm25(index):
    assert index.search("the of and", mode=Mode.BM25) == []


def test_k_must_be_positive(index):
    with pytest.raises(RetrievalError, match="at least 1"):
        index.search("apple", k=0)


def test_passages_are_exact_words_of_their_document(index):
    for document in index.documents():
        text = index.text(document.id)
        assert text == TEXTS[document.id]
        for hit in index.search(text, documents=[document.id]):
            (passage,) = index.passages([hit.passage_id])
            assert text[passage.start : passage.end] == passage.text
    assert index.document("bees").name == "bees.txt"
    with pytest.raises(RetrievalError, match="removed"):
        index.passages(["nobody#0"])


def test_an_added_document_shows_after_refresh(copy, encoder):
    index = Index.open(copy, encoder)
    assert not index.refresh()
    with IndexWriter(copy, encoder) as writer:
        writer.add("cat", "cat.txt", extracted("The miller's cat slept on the warm sacks."))
        assert index.search("miller cat", mode=Mode.BM25) == []
        assert writer.commit() == 2
    assert not index.search("miller cat", mode=Mode.BM25)
    assert index.refresh()
    assert index.search("miller cat")[0].passage_id == "cat#0"
    assert verify_index(copy) == []


def test_adding_again_replaces(copy, encoder):
    with IndexWriter(copy, encoder) as writer:
        writer.add("bees", "bees2.txt", extracted("No bee was seen that year."))
        writer.commit()
    index = Index.open(copy, encoder)
    assert index.text("bees") == "No bee was seen that year."
    assert index.document("bees").name == "bees2.txt"
    assert index.info()["counts"]["documents"] == len(TEXTS)
    assert index.search("beekeeper hives", mode=Mode.BM25, documents=["bees"]) == []
    assert verify_index(copy) == []


def test_nothing_remains_of_a_removed_document(copy, encoder):
    with IndexWriter(copy, encoder) as writer:
        text = f"A {WORD} is a weevil. " * 3 + TEXTS["press"]
        writer.add("weevil", f"{WORD}.txt", extracted(text, WORD))
        writer.commit()
    (vector,) = encoder.encode_corpus([(WORD, text)])
    # Lucene may compress terms; its own statistics are asked below.
    assert {path.name for path in holding(copy, WORD.encode())} >= {"passages.db"}
    assert holding(copy, vector.tobytes())
    reader = Index.open(copy, encoder)
    assert reader.search(WORD, mode=Mode.BM25)

    with IndexWriter(copy, encoder) as writer:
        writer.remove("weevil")
        writer.commit()
    assert holding(copy, WORD.encode()) == []
    assert holding(copy, vector.tobytes()) == []
    assert reader.search(WORD, mode=Mode.BM25) == []  # even before it refreshes
    assert all("weevil" not in hit.passage_id for hit in reader.search(WORD))
    reader.refresh()
    assert reader.generation == 3
    assert all("weevil" not in hit.passage_id for hit in reader.search(WORD))
    assert document_frequency(copy, WORD) == 0
    assert verify_index(copy) == []


def document_frequency(path, word):
    from retrieval.lexical.bm25 import Bm25Searcher
    from retrieval.lexical.jvm import java, on_java_thread

    searcher = Bm25Searcher(path / "lucene", Store.open(path).generation)

    @on_java_thread
    def frequency():
        term = java("org.apache.lucene.index.Term")("contents", word)
        return searcher._reader.docFreq(term)

    return frequency()


def test_removal_leaves_the_index_as_if_it_had_never_been_there(copy, small_index, encoder):
    with IndexWriter(copy, encoder) as writer:
        writer.add("extra", "extra.txt", extracted("Apple trees and the owner of apple trees."))
        writer.commit()
        writer.remove("extra")
        writer.commit()
    before, after = Index.open(small_index, encoder), Index.open(copy, encoder)
    for mode in Mode:
        assert after.search("the owner's apple trees", mode=mode) == before.search(
            "the owner's apple trees", mode=mode
        )


def test_a_document_without_words_comes_and_goes(copy, encoder):
    with IndexWriter(copy, encoder) as writer:
        assert writer.add("blank", "blank.txt", extracted(" ")) == 0
        writer.commit()
        assert verify_index(copy) == []
        writer.remove("blank")
        writer.commit()
    assert verify_index(copy) == []
    assert {document.id for document in Index.open(copy, encoder).documents()} == set(TEXTS)


def test_closing_without_commit_forgets(copy, encoder):
    with IndexWriter(copy, encoder) as writer:
        writer.add("cat", "cat.txt", extracted("The miller's cat."))
        writer.remove("bees")
    index = Index.open(copy, encoder)
    assert {document.id for document in index.documents()} == set(TEXTS)
    assert index.search("beekeeper", mode=Mode.BM25)


def test_a_read_only_folder_is_searchable(copy, encoder, monkeypatch):
    for path in [copy, *copy.rglob("*")]:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    allowed = os.access  # root may write anywhere: ask as somebody else would be answered
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    before = {path: path.stat().st_mtime_ns for path in [copy, *copy.rglob("*")]}
    index = Index.open(copy, encoder)
    assert index.search("apple trees")[0].passage_id == "orchard#0"
    index.close()
    assert {path: path.stat().st_mtime_ns for path in [copy, *copy.rglob("*")]} == before
    assert verify_index(copy) == []


def test_what_a_killed_writer_left_is_cleared(copy, encoder):
    (copy / "dense" / "leftover.safetensors").write_bytes(b"vectors of no passage")
    IndexWriter(copy, encoder).close()
    assert not (copy / "dense" / "leftover.safetensors").exists()


def test_no_index_here(tmp_path):
    with pytest.raises(NotAnIndex, match="index build"):
        Index.open(tmp_path)


def test_another_format_is_named(copy):
    connection = sqlite3.connect(copy / "passages.db")
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(IndexMismatch, match=r"99.*reads 1.*index build"):
        Index.open(copy)


def test_another_encoder_is_named(copy, encoder, tmp_path):
    from retrieval.encoders.encoder import load_encoder

    other = shutil.copytree(encoder.folder, tmp_path / "other")
    with open(other / "model.safetensors", "r+b") as file:
        file.seek(-4, os.SEEK_END)
        file.write(b"\0\0\0\0")
    loaded = load_encoder(str(other))
    message = f"all-MiniLM-L6-v2.*53aa51172d14.*{loaded.weight_hash[:12]}.*index reembed"
    with pytest.raises(IndexMismatch, match=message):
        Index.open(copy, loaded)
    with pytest.raises(IndexMismatch, match=message):
        IndexWriter(copy, loaded)
    with pytest.raises(IndexMismatch, match="no encoder"):
        IndexWriter(copy, None)


def test_an_index_without_vectors(tmp_path):
    with IndexWriter(tmp_path / "plain", None) as writer:
        writer.add("bees", "bees.txt", extracted(TEXTS["bees"]))
        writer.commit()
    index = Index.open(tmp_path / "plain")
    assert index.search("beekeeper") == index.search("beekeeper", mode=Mode.BM25)
    with pytest.raises(RetrievalError, match="no vectors"):
        index.search("beekeeper", mode=Mode.DENSE)


def test_an_empty_index(tmp_path, encoder):
    IndexWriter(tmp_path / "empty", encoder).close()
    index = Index.open(tmp_path / "empty", encoder)
    for mode in Mode:
        assert index.search("anything", mode=mode) == []
    assert verify_index(tmp_path / "empty") == []


def test_whole_entries_keep_their_own_ids_and_truncation_is_counted(tmp_path, encoder):
    with IndexWriter(tmp_path / "whole", encoder) as writer:
        writer.add("doc1", "doc1", extracted("short text", "Title"), whole=True)
        writer.add("doc2", "doc2", extracted("long text " * 200, "Title"), whole=True)
        writer.add("doc3", "doc3", extracted("", "Only a title about pelicans"), whole=True)
        writer.commit()
    index = Index.open(tmp_path / "whole", encoder)
    assert index.info()["counts"] == {"documents": 3, "passages": 3, "truncated": 1}
    assert index.passages(["doc1"])[0].text == "short text"
    assert index.search("pelicans")[0].passage_id == "doc3"
    manifest = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert manifest == index.info()


def test_pages_are_kept(tmp_path):
    text = "The first page ends here.\nThe second page is longer and ends there."
    with IndexWriter(tmp_path / "paged", None) as writer:
        writer.add("p", "p.pdf", Extracted("", text, (0, 26), "application/pdf"))
        writer.commit()
    index = Index.open(tmp_path / "paged")
    assert [p.page for p in index.passages(["p#0", "p#1"])] == [1, 2]
    assert index.document("p").pages == 2


def test_verify_finds_what_was_damaged(copy):
    assert verify_index(copy) == []
    (segment,) = (copy / "dense").iterdir()
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert "SHA-256" in " ".join(verify_index(copy))
    segment.unlink()
    assert "missing" in " ".join(verify_index(copy))
    largest = max((copy / "lucene").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    assert any("Lucene" in problem for problem in verify_index(copy))
    shutil.rmtree(copy / "lucene")
    with pytest.raises(IndexDamaged):
        Index.open(copy)
    database = copy / "passages.db"
    with open(database, "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))
    assert "passages.db" in " ".join(verify_index(copy))


@pytest.mark.parametrize(
    "vectors",
    [np.full((1, 384), np.nan, np.float32), np.zeros((1, 4), np.float32)],
    ids=["no numbers", "wrong dimension"],
)
def test_vectors_that_cannot_be_are_not_stored(copy, encoder, monkeypatch, vectors):
    monkeypatch.setattr(encoder, "in_int8", lambda: False)
    monkeypatch.setattr(encoder._loaded(), "encode_document", lambda *_, **__: vectors)
    with IndexWriter(copy, encoder) as writer:
        writer.add("cat", "cat.txt", extracted("The miller's cat."))
        with pytest.raises(RetrievalError, match="no numbers"):
            writer.commit()
    assert verify_index(copy) == []
