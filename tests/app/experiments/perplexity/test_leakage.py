"""Nothing is retrieved from the text that is evaluated."""

import hashlib

from app.experiments.perplexity.leakage import Guard, plain_title
from app.experiments.perplexity.retrieve import Search, retrieve
from app.experiments.perplexity.strides import Setup, plan
from retrieval.types import Extracted, Mode, Passage
from tests.app.experiments.conftest import CORPUS, TEXT

DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()


def passage(text, title="", document="other"):
    return Passage(f"{document}#{text[:9]}", document, title, text, None, 0, len(text))


def refuses(guard, *args, **kwargs):
    return guard.refuses(passage(*args, **kwargs), lambda id: f"{id}.txt")


def test_the_texts_own_words_are_known_however_they_are_laid_out():
    guard = Guard(TEXT, DIGEST)
    cut_anew = TEXT[100:700].replace("\n", " ").replace(".", " .").upper()
    assert refuses(guard, cut_anew)
    assert refuses(guard, "Opening   hours")  # shorter than a run of words, but there whole
    half = "Something else stands here first and goes on. " + TEXT[60:230]
    assert refuses(guard, half)
    assert not refuses(guard, CORPUS["Books"])
    assert not refuses(guard, "The library lends books. " * 20)


def test_the_document_itself_is_known_by_its_bytes():
    guard = Guard(TEXT, DIGEST)
    assert refuses(guard, "words that stand nowhere else", document=DIGEST)


def test_forbidden_titles_match_without_quotation_marks_and_case():
    guard = Guard(TEXT, DIGEST, ["Homarus  gammarus", '"Maple"', "other.txt", ""])
    assert refuses(guard, "A lobster.", '"Homarus gammarus"')
    assert refuses(guard, "A tree.", "maple", document="trees")
    assert refuses(guard, "Any words.", "any title")  # the document's name is on the list
    assert not refuses(guard, "A tree again.", "Maples", document="trees")
    assert not refuses(guard, "No title.", "", document="trees")
    assert len(guard.refused) == 3
    assert plain_title(' "Weird Al" Yankovic') == '"weird al" yankovic'


def test_a_planted_document_is_never_retrieved(tmp_path):
    """The text itself, a copy of it cut otherwise and a forbidden article are in the corpus."""
    from retrieval.index import Index
    from retrieval.ingest.writer import IndexWriter

    planted = {
        DIGEST: TEXT,
        "copy": "\r\n".join(TEXT.split("\n")).replace(" ", "  "),
        "article": "The Orchard Bridge crosses a river and was opened long ago.",
        **CORPUS,
    }
    with IndexWriter(tmp_path / "index", None) as writer:
        for id, text in planted.items():
            title = "Orchard Bridge" if id == "article" else ""
            writer.add(id, f"{id[:8]}.txt", Extracted(title, text, (), "text/plain"))
        writer.commit()
    words = TEXT.split(" ")
    strides = plan(len(words), Setup(window=40, stride=2, doc_tokens=10, rank_tokens=2))
    index = Index.open(tmp_path / "index")
    guard = Guard(TEXT, DIGEST, ["orchard bridge"])

    def decode(ids):
        return " ".join(words[id] for id in ids)

    try:
        search = Search(Mode.BM25, 3, 8)
        found = list(retrieve(index, range(len(words)), strides, decode, search, guard))
        documents = {c.passage_id.split("#")[0] for each in found for c in each.candidates}
        first = index.search(found[9].query, mode=Mode.BM25)[0]
    finally:
        index.close()
    assert documents <= CORPUS.keys()
    assert documents, "nothing at all was retrieved"
    assert first.passage_id.split("#")[0] in (DIGEST, "copy")  # what would have been found
    assert found[0].candidates == ()
    assert found[9].query == decode(range(strides[9].begin - 8, strides[9].begin))
