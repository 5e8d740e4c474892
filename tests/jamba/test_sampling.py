"""Each rule of sampling against hand arithmetic."""

import numpy as np
import pytest

from jamba.config import JambaError
from jamba.sampling import SamplingParams, adjust, candidates, choose

LOGITS = np.log(np.array([0.1, 0.4, 0.2, 0.3], dtype=np.float32))


def kept(**params):
    ids, probabilities = candidates(LOGITS, SamplingParams(temperature=1.0, **params))
    assert probabilities.sum() == pytest.approx(1.0)
    return dict(zip(ids.tolist(), probabilities.round(4).tolist(), strict=True))


def draw(params, logits=LOGITS, seed=0, **seen):
    chosen = choose(logits, params, np.random.default_rng(seed), **seen)
    return chosen and chosen.token


def test_temperature_zero_takes_the_likeliest_and_ties_the_lowest_id():
    assert draw(SamplingParams()) == 1
    assert draw(SamplingParams(), np.array([0, 7, 7, 7], np.float32)) == 1


def test_temperature_sharpens():
    ids, probabilities = candidates(LOGITS, SamplingParams(temperature=0.5))
    assert ids.tolist() == [1, 3, 2, 0]
    assert probabilities == pytest.approx([16 / 30, 9 / 30, 4 / 30, 1 / 30], rel=1e-5)


def test_top_k_keeps_the_likeliest():
    assert kept(top_k=2) == {1: 0.5714, 3: 0.4286}
    assert len(kept(top_k=100)) == 4


@pytest.mark.parametrize(
    ("top_p", "ids"),
    [(0.05, [1]), (0.39, [1]), (0.41, [1, 3]), (0.71, [1, 3, 2]), (1.0, [1, 3, 2, 0])],
)
def test_top_p_keeps_the_smallest_set_that_reaches_it(top_p, ids):
    assert list(kept(top_p=top_p)) == ids


def test_top_p_of_a_large_vocabulary_equals_sorting_it_all():
    logits = np.random.default_rng(3).normal(0, 3, 5000).astype(np.float32)
    probabilities = np.exp(logits - logits.max(), dtype=np.float64)
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities, kind="stable")
    count = int(np.searchsorted(np.cumsum(probabilities[order]), 0.9)) + 1
    ids, _ = candidates(logits, SamplingParams(temperature=1.0, top_p=0.9))
    assert ids.tolist() == order[:count].tolist()


def test_top_p_counts_within_top_k():
    assert list(kept(top_k=2, top_p=0.5)) == [1]


def test_min_p_is_relative_to_the_likeliest():
    assert list(kept(min_p=0.6)) == [1, 3]
    assert list(kept(min_p=1.0)) == [1]


def test_repetition_penalty_pushes_both_signs_down():
    logits = np.array([2.0, -2.0, 1.0], np.float32)
    changed = adjust(logits, SamplingParams(repetition_penalty=2.0), {0, 1})
    assert changed.tolist() == [1.0, -4.0, 1.0]
    assert logits.tolist() == [2.0, -2.0, 1.0]
    assert draw(SamplingParams(repetition_penalty=3.0), logits, prompt=[0]) == 2
    assert draw(SamplingParams(repetition_penalty=3.0), logits, generated=[0]) == 2


def test_logit_bias_is_added():
    assert draw(SamplingParams(logit_bias={0: 5.0})) == 0
    assert draw(SamplingParams(logit_bias={1: -5.0})) == 3


def test_allowed_ids_bind_even_when_unlikely():
    assert draw(SamplingParams(allowed=lambda made: [0])) == 0
    assert draw(SamplingParams(allowed=lambda made: {0, 2}, temperature=1.0)) in (0, 2)
    assert draw(SamplingParams(allowed=lambda made: [])) is None
    assert draw(SamplingParams(allowed=lambda made: None)) == 1
    with pytest.raises(JambaError, match="allowed"):
        draw(SamplingParams(allowed=lambda made: [-1]))


def test_draws_follow_the_probabilities():
    rng = np.random.default_rng(0)
    params = SamplingParams(temperature=1.0)
    drawn = [choose(LOGITS, params, rng).token for _ in range(4000)]
    counts = np.bincount(drawn, minlength=4)
    assert counts / 4000 == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=0.03)


def test_rows_hold_the_log_probability_of_every_token():
    params = SamplingParams(rows=True, logit_bias={0: 9.0}, allowed=lambda made: [0, 2])
    chosen = choose(LOGITS, params, np.random.default_rng(0))
    assert (chosen.token, chosen.top) == (0, ())
    np.testing.assert_allclose(chosen.row, LOGITS, atol=1e-6)


def test_logprobs_are_the_models_own():
    params = SamplingParams(logprobs=2, logit_bias={0: 9.0}, temperature=0.5, top_k=1)
    chosen = choose(LOGITS + 5, params, np.random.default_rng(0))
    assert chosen.token == 0
    assert np.exp(chosen.logprob) == pytest.approx(0.1, rel=1e-5)
    assert [token for token, _ in chosen.top] == [1, 3]
    assert np.exp([score for _, score in chosen.top]) == pytest.approx([0.4, 0.3], rel=1e-5)
    alone = choose(LOGITS, SamplingParams(logprobs=0), np.random.default_rng(0))
    assert (alone.top, np.exp(alone.logprob)) == ((), pytest.approx(0.4, rel=1e-5))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 0},
        {"logprobs": -1},
        {"temperature": -1.0},
        {"temperature": float("nan")},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_k": 0},
        {"min_p": 2.0},
        {"repetition_penalty": 0.0},
        {"logit_bias": {1: float("inf")}},
        {"seed": -1},
    ],
)
def test_values_out_of_range_are_named(wrong):
    with pytest.raises(JambaError, match=next(iter(wrong))):
        SamplingParams(**wrong)
