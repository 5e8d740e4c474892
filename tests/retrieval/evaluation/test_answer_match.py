"""Answer strings against DPR's own matcher, as Pyserini carries it."""

import pytest

from retrieval.evaluation.answer_match import answer_rank

CASES = [
    ("The weir was built in 1931.", "1931", True),
    ("The weir was built in 1931.", "193", False),  # whole words only
    ("Café Zoë, on the quay", "CAFE\u0301 zoë", True),  # one Unicode form, any case
    ("It cost $5.50 (about).", "$5.50", True),
    ("a well-known mill", "well known", False),
    ("a well-known mill", "well-known mill", True),
    ("U.S. forces", "U.S.", True),
    ("snake_case here", "snake", True),
    ("nothing", "", False),
    ("", "weir", False),
    ("東京 駅", "東京", True),
]


@pytest.mark.parametrize(("text", "answer", "held"), CASES)
def test_words_are_found_whole(text, answer, held):
    assert (answer_rank([text], [answer]) == 1) is held


@pytest.mark.parametrize(("text", "answer", "held"), [case for case in CASES if case[1]])
def test_dpr_says_the_same(text, answer, held):
    from pyserini.eval.evaluate_dpr_retrieval import SimpleTokenizer, has_answers

    assert has_answers(text, [answer], SimpleTokenizer(), regex=False) is held


def test_the_first_passage_with_any_answer_counts():
    texts = ["nothing here", "in March", "on 4 May"]
    assert answer_rank(texts, ["4 May", "March"]) == 2
    assert answer_rank(texts, ["June"]) is None
