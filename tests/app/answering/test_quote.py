"""Choosing sentences, with an encoder that counts words: the choice itself needs no model."""

import numpy as np
import pytest

from app.answering.quote import (
    Weights,
    best_quotes,
    cite,
    lacks_answer,
    may_answer,
    sentences_of,
)
from app.answering.words import stems
from app.types import RetrievedPassage
from retrieval.types import ReadSpan


class WordCounter:
    """Unit vectors of the stems in a text: a stand-in with likenesses that can be seen."""

    def encode_queries(self, texts):
        return self.encode_passages([("", text) for text in texts])

    def encode_passages(self, passages):
        rows = np.zeros((len(passages), 4096), np.float32)
        for row, (title, text) in zip(rows, passages, strict=True):
            for word in stems(f"{title} {text}"):
                row[sum(map(ord, word)) * 31 % 4096] = 1
            row /= max(np.linalg.norm(row), 1)
        return rows


class Undecided:
    """A reader for which all words answer as well, so that the other signals decide."""

    def read(self, question, passages, regions):
        return [ReadSpan(each.passage, each.start, each.start + 3, 0.0) for each in regions]


class LookingFor(Undecided):
    """A reader that is sure of one word."""

    def __init__(self, word: str) -> None:
        self.word = word

    def read(self, question, passages, regions):
        found = []
        for each in regions:
            at = passages[each.passage].find(self.word, each.start, each.end)
            whole = ReadSpan(each.passage, each.start, each.end, -5.0)
            found.append(whole if at < 0 else ReadSpan(each.passage, at, at + len(self.word), 5.0))
        return found


def passage(text: str, title: str = "", number: int = 0) -> RetrievedPassage:
    return RetrievedPassage(
        f"d{number}#0", f"d{number}", f"{number}.txt", title, text, 3, 100, 100 + len(text), 1, {}
    )


BRIDGE = passage("The bridge opened in 1911. Anna Kern designed the bridge. It is green.")
OPEN = Weights(threshold=-100.0, margin=0.0)


def quoted(question, passages, weights=OPEN):
    quotes = best_quotes(question, passages, WordCounter(), Undecided(), weights)
    return [passages[q.passage].text[q.start : q.end] for q in quotes]


def test_the_best_sentence_is_quoted_with_the_one_behind_it():
    (best,) = quoted("Who designed the bridge?", [BRIDGE])
    assert best == "Anna Kern designed the bridge. It is green."


def test_rows_and_headings_stand_alone():
    rows = passage("Bridge; Designer: Anna Kern\nTower; Designer: Otto Blum")
    assert quoted("Who designed the bridge?", [rows]) == ["Bridge; Designer: Anna Kern"]


def test_nothing_is_quoted_below_the_threshold():
    assert quoted("Who designed the bridge?", [BRIDGE], Weights(threshold=100.0)) == []
    assert quoted("Who?", []) == []
    assert quoted("Who?", [passage(" ")]) == []


def test_neighbours_that_are_both_good_become_one_quote_and_others_two():
    wide = Weights(threshold=-100.0, margin=100.0)
    (both,) = quoted("When was the bridge opened and who designed it?", [BRIDGE], wide)
    assert both == "The bridge opened in 1911. Anna Kern designed the bridge."
    other = passage("The bridge was designed by Otto Blum.", number=1)
    assert len(quoted("Who designed the bridge?", [BRIDGE, other], wide)) == 2


def test_ties_go_to_the_passage_found_first():
    same = passage(BRIDGE.text, number=1)
    (best,) = best_quotes("Is it green?", [BRIDGE, same], WordCounter(), Undecided(), OPEN)
    assert best.passage == 0


def test_what_the_reader_points_at_wins_and_is_kept():
    reader = LookingFor("1911")
    (best,) = best_quotes("Is the bridge green?", [BRIDGE], WordCounter(), reader, OPEN)
    assert BRIDGE.text[best.start : best.end].startswith("The bridge opened in 1911.")
    assert best.focus is not None
    assert BRIDGE.text[slice(*best.focus)] == "1911"
    citation = cite(1, BRIDGE, best.start, best.end, best.focus)
    assert citation.focus == (BRIDGE.start + 21, BRIDGE.start + 25)


def test_words_of_the_title_count_as_said():
    found = [passage("It is open from nine. It is closed in May.", "The museum")]
    assert quoted("When is the museum closed?", found) == ["It is closed in May."]


def test_a_citation_points_into_the_document():
    sentence = sentences_of([BRIDGE])[1]
    citation = cite(1, BRIDGE, sentence.start, sentence.end)
    assert citation.text == "Anna Kern designed the bridge."
    assert (citation.start, citation.end) == (127, 157)
    assert citation.page == 3


@pytest.mark.parametrize(
    ("question", "sentence", "lacking"),
    [
        ("When did it open?", "It opened in 1911.", False),
        ("When did it open?", "It opened late.", True),
        ("How many open?", "Twelve open.", False),
        ("Who designed it?", "It was designed by Anna Kern.", False),
        ("Who is Anna Kern?", "Anna Kern is here.", True),
        ("Why is it green?", "It is green.", False),
    ],
)
def test_what_kind_of_answer_is_asked_for(question, sentence, lacking):
    assert lacks_answer(question, sentence) is lacking


@pytest.mark.parametrize(
    ("question", "sentence", "may"),
    [
        ("What is the refund policy?", "Refund policy", False),
        ("What is the refund policy?", "Do you give refunds within thirty days?", False),
        ("What is the refund policy?", "Refunds within thirty days", True),
        ("How many salmon were counted in 2016?", "In 2024 we counted 141 salmon.", False),
        ("How many salmon were counted in 2016?", "In 2016 we counted 120 salmon.", True),
        ("Which 2 rivers meet here?", "The two rivers Teel and Arn meet here.", True),
        ("Who gave 1,200 francs?", "Anna gave 1200 francs.", True),
    ],
)
def test_what_can_answer_at_all(question, sentence, may):
    found = [passage(sentence)]
    (region,) = sentences_of(found)
    assert may_answer(question, region, found) is may
