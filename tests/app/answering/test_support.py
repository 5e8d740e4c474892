"""Linking generated sentences to the words that support them, with the real encoder."""

from app.answering.support import supported_sentences
from tests.app.answering.test_quote import passage

PASSAGES = [
    passage("The Orchard Bridge was opened on 4 May 1911. Anna Kern from Basel designed it."),
    passage("Members may borrow up to eight books. A loan lasts four weeks.", number=1),
]


def test_a_paraphrase_is_linked_to_its_source(encoder):
    text = "The Orchard Bridge opened in May 1911. It was designed by Anna Kern."
    sentences, citations = supported_sentences(text, PASSAGES, encoder)
    assert [s.citations for s in sentences] == [(1,), (2,)]
    assert [c.text for c in citations] == [
        "The Orchard Bridge was opened on 4 May 1911.",
        "Anna Kern from Basel designed it.",
    ]
    assert citations[0].document == "0.txt"


def test_the_same_source_is_cited_once(encoder):
    text = "A loan lasts four weeks. Loans last four weeks."
    sentences, citations = supported_sentences(text, PASSAGES, encoder)
    assert [s.citations for s in sentences] == [(1,), (1,)]
    assert len(citations) == 1


def test_what_the_passages_do_not_say_has_no_citation(encoder):
    text = "The mayor of Paris resigned. The Orchard Bridge was opened on 4 May 1912."
    sentences, citations = supported_sentences(text, PASSAGES, encoder)
    assert [s.citations for s in sentences] == [(), ()]
    assert citations == ()


def test_nothing_to_link(encoder):
    assert supported_sentences(" ", PASSAGES, encoder) == ((), ())
    sentences, _ = supported_sentences("It is so.", [], encoder)
    assert sentences[0].citations == ()
