"""Ranking again by the best sentence: by hand-made vectors."""

import numpy as np
import pytest

from retrieval.sentence_rank import best_likeness, rank_by_sentences
from retrieval.types import Hit, Part, Passage


class WordEncoder:
    """One axis a word: the cosine of two texts is the share of words they have in common."""

    words = ("weir", "salmon", "mill", "river")

    def encode_queries(self, texts):
        return self.encode_passages([("", text) for text in texts])

    def encode_passages(self, passages):
        rows = np.array(
            [[float(word in text.lower()) for word in self.words] for _, text in passages]
        )
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)


def passage(id, text):
    return Passage(id, "d", "", text, None, 0, len(text))


BLURRED = passage("a", "The weir and the mill. The river and the salmon.")
SHARP = passage("b", "Nothing here. The weir stands.")
HITS = [Hit("a", 0.9, {"dense": Part(0.9, 1)}), Hit("b", 0.85, {"dense": Part(0.85, 2)})]


def test_the_passage_with_the_better_sentence_rises():
    ranked = rank_by_sentences("weir", HITS, [BLURRED, SHARP], WordEncoder())
    assert [hit.passage_id for hit in ranked] == ["b", "a"]
    assert ranked[0].score == pytest.approx(0.85 + 0.2)
    assert ranked[0].parts["sentence"] == Part(pytest.approx(1.0), 1)
    assert ranked[0].parts["dense"] == Part(0.85, 2)


def test_without_weight_the_order_stays_and_ties_go_by_id():
    assert (
        rank_by_sentences("weir", HITS, [BLURRED, SHARP], WordEncoder(), weight=0.0)[0].score == 0.9
    )
    same = [Hit("b", 1.0, {}), Hit("a", 1.0, {})]
    ranked = rank_by_sentences("weir", same, [SHARP, passage("a", SHARP.text)], WordEncoder())
    assert [hit.passage_id for hit in ranked] == ["a", "b"]


def test_a_passage_without_words_is_like_nothing():
    assert best_likeness("weir", ["", "The weir."], WordEncoder()) == [-1.0, pytest.approx(1.0)]
    assert best_likeness("weir", [], WordEncoder()) == []
