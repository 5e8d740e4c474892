"""Ranking again: the arithmetic by hand, and a real (random) cross-encoder."""

import math

import numpy as np
import pytest

from retrieval.index import Index
from retrieval.rerank import CrossEncoderScorer, Reranker, load_cross_encoder, rerank
from retrieval.search import Search
from retrieval.types import Hit, Mode, Part, Passage, RetrievalError


class LengthScorer:
    """Likes long passages."""

    name = "length"
    weight_hash = "none"

    def scores(self, question, passages):
        return [float(len(passage.text)) for passage in passages]


class ShortScorer(LengthScorer):
    """Likes short ones."""

    name = "short"

    def scores(self, question, passages):
        return [-float(len(passage.text)) for passage in passages]


def passage(id, text):
    return Passage(id, "d", "", text, None, 0, len(text))


HITS = [Hit("a", 4.0, {"bm25": Part(4.0, 1)}), Hit("b", 3.0, {}), Hit("c", 2.0, {})]


def test_the_second_score_is_added_to_the_share_of_the_first():
    read = [passage("a", "x"), passage("b", "xxx")]
    ranked = rerank("question", HITS, read, Reranker(LengthScorer(), weight=0.5, depth=2))
    assert [(hit.passage_id, hit.score) for hit in ranked] == [
        ("b", 3 / 4 + 0.5 * 3),
        ("a", 4 / 4 + 0.5 * 1),
        ("c", 2 / 4 + 0.5 * 1),  # was not read: as the worst that was, so it stays behind
    ]
    assert ranked[1].parts == {"bm25": Part(4.0, 1), "length": Part(1.0, 2)}
    assert ranked[2].parts == {}


def test_with_a_temperature_scores_count_as_shares_with_none_among_them():
    read = [passage("a", "x"), passage("b", "xxx")]  # log odds 1 and 3
    again = Reranker(LengthScorer(), weight=1.0, depth=2, temperature=2.0)
    ranked = {hit.passage_id: hit for hit in rerank("question", HITS, read, again)}
    total = 1 + math.exp(1 / 2) + math.exp(3 / 2)
    assert ranked["a"].score == pytest.approx(4 / 4 + math.exp(1 / 2) / total)
    assert ranked["b"].score == pytest.approx(3 / 4 + math.exp(3 / 2) / total)
    assert ranked["c"].score == pytest.approx(2 / 4 + math.exp(1 / 2) / total)
    assert ranked["b"].parts["length"] == Part(3.0, 1)  # what is shown is the log odds


def test_odds_may_be_far_apart():
    read = [passage("a", ""), passage("b", "x" * 5000)]
    again = Reranker(LengthScorer(), weight=1.0, temperature=1.0)
    ranked = rerank("question", HITS[:2], read, again)
    assert [(hit.passage_id, hit.score) for hit in ranked] == [("b", 3 / 4 + 1), ("a", 1.0)]


def test_another_may_rank_first_and_less_deep():
    read = [passage("a", "x"), passage("b", "xxx"), passage("c", "")]
    first = Reranker(LengthScorer(), weight=0.5, depth=2)  # b 2.25, a 1.5, c 1.0
    again = Reranker(ShortScorer(), weight=0.1, depth=3, first=first)
    ranked = rerank("question", HITS, read, again)
    assert [(hit.passage_id, pytest.approx(hit.score)) for hit in ranked] == [
        ("b", 1 - 0.1 * 3), ("a", 1.5 / 2.25 - 0.1), ("c", 1 / 2.25),
    ]  # fmt: skip
    assert {name: part.rank for name, part in ranked[0].parts.items()} == {"length": 1, "short": 3}
    assert again.settings()["first"] == first.settings()


def test_equal_scores_are_ordered_by_id_and_empty_questions_stay():
    same = [Hit("b", 1.0, {}), Hit("a", 1.0, {})]
    read = [passage("b", "x"), passage("a", "x")]
    again = Reranker(LengthScorer(), weight=1.0)
    assert [hit.passage_id for hit in rerank("q", same, read, again)] == ["a", "b"]
    assert rerank(" ", same, read, again) == same
    assert rerank("q", [], [], again) == []


@pytest.mark.java
def test_a_search_reads_deeper_than_it_returns(small_index):
    index = Index.open(small_index)
    plain = Search(k=1, mode=Mode.BM25)
    (found,) = plain.find(index, ["apples in the valley"])
    again = Search(k=1, mode=Mode.BM25, reranker=Reranker(LengthScorer(), weight=100.0))
    (ranked,) = again.find(index, ["apples in the valley"])
    index.close()
    assert found != ranked
    assert len(ranked) == 1
    assert set(ranked[0].parts) == {"bm25", "length"}
    assert again.settings()["rerank"] == {
        "scorer": "length", "weights": "none", "weight": 100.0, "depth": 20,
        "temperature": None, "first": None,
    }  # fmt: skip


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory, encoder):
    """A folder with a BERT of two narrow layers that knows nothing."""
    import shutil

    from transformers import BertConfig, BertForSequenceClassification

    folder = tmp_path_factory.mktemp("cross-encoder")
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        if (encoder.folder / name).exists():
            shutil.copy(encoder.folder / name, folder / name)
    return folder


def test_a_cross_encoder_folder_scores_pairs(cross_encoder):
    scorer = load_cross_encoder(str(cross_encoder))
    texts = [passage("a", "Bees were brought."), passage("b", "A press of oak.")]
    scores = scorer.scores("what press?", texts)
    assert len(scores) == 2
    assert scores == scorer.scores("what press?", texts)
    assert len(scorer.weight_hash) == 64


def test_what_is_no_cross_encoder_is_named(tmp_path):
    with pytest.raises(RetrievalError, match="not a cross-encoder folder"):
        load_cross_encoder(str(tmp_path))


@pytest.mark.parametrize("found", [np.array([[0.1, 0.9]]), np.array([np.nan])])
def test_scores_that_are_none_are_refused(found):
    class Model:
        def predict(self, pairs, **options):
            return found

    with pytest.raises(RetrievalError, match="one score a passage"):
        CrossEncoderScorer(Model(), "x").scores("q", [passage("a", "x")])
