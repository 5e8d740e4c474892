"""The packaged encoder is the published one, and its vectors come back in order."""

import numpy as np
import pytest

import retrieval.encoders.encoder
from retrieval.encoders.encoder import load_encoder
from retrieval.types import RetrievalError


def test_what_the_packaged_encoder_says_of_itself(encoder):
    info = encoder.info
    assert (info.id, info.dimension, info.pooling) == ("all-MiniLM-L6-v2", 384, "mean")
    assert (info.max_tokens, info.normalized) == (254, True)
    assert info.weight_hash == retrieval.encoders.encoder.PACKAGED_SHA256


def test_vectors_come_in_order_whatever_the_lengths(encoder):
    texts = ["a short one", "a much longer text about apple trees " * 20, "bees", "the oak press"]
    together = encoder.encode_passages([("", text) for text in texts])
    alone = np.concatenate([encoder.encode_passages([("", text)]) for text in texts])
    assert together.dtype == np.float32
    assert together.shape == (4, 384)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_a_title_is_read_before_the_text(encoder):
    (titled,) = encoder.encode_passages([("Apples", "They are red.")])
    (joined,) = encoder.encode_passages([("", "Apples\nThey are red.")])
    np.testing.assert_allclose(titled, joined, atol=1e-6)


def test_tokens_are_counted_without_the_special_ones(encoder):
    assert encoder.count_tokens(["", "apple", "apple tree"]) == [0, 1, 2]
    assert encoder.count_tokens([]) == []


def test_nothing_gives_nothing(encoder):
    assert encoder.encode_queries([]).shape == (0, 384)
    assert encoder.encode_passages([]).shape == (0, 384)


def test_one_question_is_encoded_once_for_all_who_ask(encoder):
    first = encoder.encode_queries(["Which way does the river run?"])
    again = encoder.encode_queries(["Which way does the river run?"])
    assert first.shape == (1, 384)
    assert again is first
    assert not first.flags.writeable
    both = encoder.encode_queries(["Which way does the river run?", "Who keeps bees?"])
    np.testing.assert_allclose(both[:1], first, atol=1e-5)


def test_progress_is_told(encoder):
    heard = []
    encoder.encode_passages([("", "bees")] * 3, lambda done, total: heard.append((done, total)))
    assert heard == [(3, 3)]


def test_other_weights_under_the_packaged_name_are_refused(monkeypatch):
    monkeypatch.setattr(retrieval.encoders.encoder, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(RetrievalError, match="not the published ones"):
        load_encoder()


def test_a_folder_that_is_no_encoder(tmp_path):
    with pytest.raises(RetrievalError, match="missing"):
        load_encoder(str(tmp_path))
    (tmp_path / "config.json").write_text('{"hidden_size": 8}')
    with pytest.raises(RetrievalError, match="no weights"):
        load_encoder(str(tmp_path))


def test_a_name_that_is_nowhere(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(RetrievalError, match="not a folder"):
        load_encoder("nobody/nothing")
