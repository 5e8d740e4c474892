"""Packing: full rows, documents whole and in order, starts marked, none predicted across."""

import numpy as np
import pytest

from jamba.config import JambaError
from jamba.training.data import AHEAD, Corpus, Filler, document, pack

BOS = 1


def documents(*lengths: int):
    """Documents of tokens 100, 101, ... 200, 201, ..., so that a token tells where it is from."""
    return [
        document([(range(100 * n, 100 * n + length), 1.0)]) for n, length in enumerate(lengths, 1)
    ]


def filler(*sections: range) -> Filler:
    return Filler(sections or (range(10, 60),), BOS)


def test_rows_are_full_and_documents_are_whole():
    rows = pack(documents(6, 3, 8), filler(), 10)
    assert rows.ids.tolist() == [
        [*range(300, 308), BOS, 10],
        [*range(100, 106), *range(200, 203), BOS],
    ]


def test_every_document_starts_fresh_and_its_first_token_is_not_predicted():
    rows = pack(documents(6, 3, 8), filler(), 10)
    assert np.flatnonzero(rows.reset[0]).tolist() == [0, 8]
    assert np.flatnonzero(rows.reset[1]).tolist() == [0, 6, 9]
    assert (rows.weights[rows.reset] == 0).all()
    assert (rows.weights[~rows.reset] == 1).all()


def test_only_the_next_documents_are_looked_at_for_what_fits():
    rows = pack(documents(*[9] * (AHEAD + 1), 1), filler(), 10)
    last = 100 * (AHEAD + 2)
    assert len(rows) == AHEAD + 1
    assert last not in rows.ids[0]
    assert rows.ids[1, 9] == last


def test_a_document_longer_than_a_row_loses_its_end():
    rows = pack(documents(14), filler(), 10)
    assert rows.ids.tolist() == [list(range(100, 110))]


def test_filler_goes_on_where_it_was_cut_and_then_begins_again():
    text = filler(range(10, 13), range(20, 22))
    taken = [item.ids.tolist() for item in [*text.take(3), *text.take(7)]]
    assert taken == [[BOS, 10, 11], [BOS, 12], [BOS, 20, 21], [BOS, 10]]


def test_weights_follow_their_pieces():
    item = document([([5, 6], 1.0), ([7], 3.0)])
    assert item.ids.tolist() == [5, 6, 7]
    assert item.weights.tolist() == [1.0, 1.0, 3.0]


def corpus(**changes) -> Corpus:
    values = {
        "documents": tuple(documents(*[5] * 20)),
        "sections": (range(10, 60), range(60, 90)),
        "bos": BOS,
        "row_tokens": 12,
        "text_share": 0.5,
    }
    return Corpus(**{**values, **changes})


def test_an_epoch_holds_every_document_once_and_the_share_of_text_rows():
    rows = corpus().epoch(0, 0)
    starts = rows.ids[rows.reset]
    assert sorted(start for start in starts if start >= 100) == [100 * n for n in range(1, 21)]
    is_text = (rows.ids < 100).all(axis=1)
    assert is_text.sum() == len(rows) - is_text.sum()


def test_batches_are_the_same_for_a_seed_and_differ_between_epochs():
    def first(seed: int, count: int) -> list[list[int]]:
        batches = corpus().batches(2, seed)
        return [next(batches).ids.ravel().tolist() for _ in range(count)]

    assert first(3, 30) == first(3, 30)
    assert first(3, 5) != first(4, 5)
    epoch = len(corpus().epoch(3, 0)) // 2
    assert first(3, 2 * epoch)[:epoch] != first(3, 2 * epoch)[epoch:]


def test_too_little_data_is_an_error_that_says_how_much_there_is():
    with pytest.raises(JambaError, match=r"fill 20 rows of 12 tokens, and one step takes 50"):
        next(corpus().batches(50, 0))
    with pytest.raises(JambaError, match="no plain text"):
        Filler([[], []], BOS)


def test_examples_take_the_place_of_text_and_are_never_cut():
    long = range(7000, 7011)
    short = range(8000, 8005)
    examples = tuple(document([([BOS, *ids], 1.0)]) for ids in (long, short, short))
    rows = corpus(examples=examples).epoch(0, 0)
    plain = corpus().epoch(0, 0)
    assert rows.ids.shape == plain.ids.shape
    found = [row.tolist() for row in rows.ids if (row >= 7000).any()]
    assert len(found) == len(rows) // 2
    whole = {(BOS, *long), (BOS, *short, BOS, *short)}
    fitting = [row for row in found if tuple(row) not in whole]
    assert all(row[:6] == [BOS, *short] and max(row[6:]) < 100 for row in fitting)


def test_examples_are_shuffled_for_each_epoch_alike():
    examples = tuple(document([([BOS, *range(n, n + 11)], 1.0)]) for n in range(7000, 7200, 20))
    held = corpus(examples=examples)
    assert held.epoch(3, 1).ids.tolist() == held.epoch(3, 1).ids.tolist()
    assert held.epoch(3, 1).ids.tolist() != held.epoch(3, 2).ids.tolist()
