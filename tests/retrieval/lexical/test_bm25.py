"""Rankings equal Anserini's own; generations live side by side until the old one is forgotten."""

import json

import pytest

from retrieval.lexical.bm25 import Bm25Searcher
from retrieval.lexical.bm25_writer import Bm25Writer, Entry
from retrieval.lexical.jvm import java, on_java_thread
from retrieval.types import IndexDamaged
from tests.retrieval.conftest import holding

pytestmark = pytest.mark.java


def written(folder, entries, generation=1):
    writer = Bm25Writer(folder, None)
    writer.add(entries)
    writer.commit(generation)
    writer.forget_previous()
    writer.close()


@on_java_thread
def anserini_index(folder, documents):
    indexer = java("io.anserini.index.SimpleIndexer")(str(folder))
    for document_id, text in documents.items():
        indexer.addRawDocument(json.dumps({"id": document_id, "contents": text}))
    indexer.close()


@on_java_thread
def anserini_search(folder, queries, k):
    searcher = java("io.anserini.search.SimpleSearcher")(str(folder))
    searcher.set_bm25(0.9, 0.4)
    found = []
    for query in queries:
        hits = searcher.search(query, k)
        found.append([(hit.docid, float(hit.score)) for hit in hits])
    searcher.close()
    return found


def test_rankings_equal_anserinis(tmp_path, data):
    with open(data / "retrieval" / "med" / "corpus.jsonl") as file:
        documents = {d["_id"]: d["text"] for d in map(json.loads, file)}
    with open(data / "retrieval" / "med" / "queries.jsonl") as file:
        queries = [json.loads(line)["text"] for line in file]
    written(tmp_path / "ours", [Entry(i, i, "", text) for i, text in documents.items()])
    anserini_index(tmp_path / "theirs", documents)
    theirs = anserini_search(tmp_path / "theirs", queries, 50)
    searcher = Bm25Searcher(tmp_path / "ours", 1)
    for query, expected in zip(queries, theirs, strict=True):
        found = searcher.search(query, 50)
        assert [hit.passage_id for hit in found] == [document for document, _ in expected]
        assert [hit.score for hit in found] == pytest.approx([s for _, s in expected], abs=1e-3)
    searcher.close()


def test_ties_are_broken_by_id(tmp_path):
    written(tmp_path, [Entry(i, i, "", "the same words") for i in ("c", "a", "d", "b")])
    searcher = Bm25Searcher(tmp_path, 1)
    assert [hit.passage_id for hit in searcher.search("words", 3)] == ["a", "b", "c"]


def test_only_the_chosen_documents_are_searched(tmp_path):
    entries = [Entry(f"{d}#{n}", d, "", f"apple {n}") for d in "abc" for n in range(5)]
    written(tmp_path, entries)
    searcher = Bm25Searcher(tmp_path, 1)
    found = searcher.search("apple", 100, ["b", "c", "nobody"])
    everything = {hit.passage_id: hit.score for hit in searcher.search("apple", 100)}
    assert sorted(hit.passage_id for hit in found) == [f"{d}#{n}" for d in "bc" for n in range(5)]
    assert all(hit.score == everything[hit.passage_id] for hit in found)
    assert searcher.search("apple", 100, []) == []


@pytest.mark.parametrize("query", ["", "   ", "the of and", "?!", "()[]{}:\\/*~^"])
def test_queries_without_words_find_nothing(tmp_path, query):
    written(tmp_path, [Entry("a", "a", "", "the apple of the eye")])
    assert Bm25Searcher(tmp_path, 1).search(query, 5) == []


def test_a_very_long_query_is_searched(tmp_path):
    written(tmp_path, [Entry("a", "a", "", "apple")])
    query = " ".join(f"word{i}" for i in range(12_000)) + " apple"
    assert [hit.passage_id for hit in Bm25Searcher(tmp_path, 1).search(query, 5)] == ["a"]


def test_an_uncommitted_change_is_forgotten(tmp_path):
    written(tmp_path, [Entry("a", "a", "", "apple")])
    writer = Bm25Writer(tmp_path, 1)
    writer.add([Entry("b", "b", "", "apple")])
    writer.close()
    assert Bm25Searcher(tmp_path, 1).count() == 1


def test_a_commit_ahead_of_the_store_is_undone(tmp_path):
    written(tmp_path, [Entry("a", "a", "", "apple")])
    for text in ("pear", "plum", "quince"):  # a writer that dies before the store's commit, thrice
        writer = Bm25Writer(tmp_path, 1)
        writer.add([Entry(text, text, "", text)])
        writer.commit(2)
        writer.close()
        assert Bm25Searcher(tmp_path, 1).count() == 1
    searcher = Bm25Searcher(tmp_path, 2)
    assert (len(searcher.search("quince", 5)), len(searcher.search("pear", 5))) == (1, 0)


def test_the_previous_generation_goes_once_forgotten(tmp_path):
    written(tmp_path, [Entry("a", "a", "", "apple")])
    writer = Bm25Writer(tmp_path, 1)
    writer.add([Entry("b", "b", "", "apple")])
    writer.commit(2)
    assert Bm25Searcher(tmp_path, 1).count() == 1
    writer.forget_previous()
    writer.close()
    assert Bm25Searcher(tmp_path, 2).count() == 2
    with pytest.raises(IndexDamaged):
        Bm25Searcher(tmp_path, 1)


def test_what_a_killed_writer_did_not_forget_the_next_one_does(tmp_path):
    written(tmp_path, [Entry("a#0", "a", "", "zyzzyva"), Entry("b#0", "b", "", "apple")])
    writer = Bm25Writer(tmp_path, 1)
    writer.remove("a")
    writer.commit(2)
    writer.close()  # killed after the store's commit: the generation before is still pinned
    assert holding(tmp_path, b"zyzzyva")
    Bm25Writer(tmp_path, 2).close()
    assert not holding(tmp_path, b"zyzzyva")


def test_removed_documents_leave_the_statistics(tmp_path):
    entries = [Entry(i, i, "", text) for i, text in [("a", "apple pie"), ("b", "pear pie")]]
    written(tmp_path / "one", [*entries, Entry("c", "c", "", "apple pear pie")])
    writer = Bm25Writer(tmp_path / "one", 1)
    writer.remove("c")
    writer.commit(2)
    writer.forget_previous()
    writer.close()
    written(tmp_path / "two", entries)
    after, never = Bm25Searcher(tmp_path / "one", 2), Bm25Searcher(tmp_path / "two", 1)
    assert after.search("apple pie", 5) == never.search("apple pie", 5)
