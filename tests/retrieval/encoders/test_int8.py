"""Int8 by CTranslate2: vectors near float32's, the same in any company, for what it can run."""

import json
import shutil

import numpy as np
import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.encoders.encoder_folder import read_encoder_folder
from retrieval.encoders.int8 import runs_in_int8
from tests.retrieval.conftest import TEXTS
from tests.retrieval.random_encoders import tiny_encoder

pytest.importorskip("ctranslate2")

PAIRS = [("", text) for text in TEXTS.values()]
LONG = ("", "apples and bees in the valley " * 80)  # more than the encoder reads


def test_vectors_are_nearly_those_of_float32(encoder):
    pairs = [*PAIRS, LONG]
    exact, quick = encoder.encode_passages(pairs), encoder.encode_corpus(pairs)
    assert quick.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(quick, axis=1), 1, atol=1e-5)
    assert (exact * quick).sum(axis=1).min() > 0.99
    assert (exact != quick).any()


def test_a_vector_does_not_depend_on_its_company(encoder):
    heard = []
    pairs = PAIRS * 5 + [LONG]
    together = encoder.encode_corpus(pairs, lambda *of: heard.append(of))
    alone = np.concatenate([encoder.encode_corpus([pair]) for pair in pairs[-5:]])
    np.testing.assert_allclose(together[-5:], alone, atol=1e-5)
    assert heard == [(len(pairs), len(pairs))]
    assert encoder.encode_corpus([]).shape == (0, 384)


def test_cls_pooling_and_vectors_of_any_length(tmp_path):
    tiny = tiny_encoder(tmp_path)
    exact, quick = tiny.encode_passages(PAIRS), tiny.encode_corpus(PAIRS)
    cosines = (exact * quick).sum(axis=1) / np.linalg.norm(exact, axis=1)
    assert (cosines / np.linalg.norm(quick, axis=1)).min() > 0.99
    np.testing.assert_allclose(
        np.linalg.norm(quick, axis=1), np.linalg.norm(exact, axis=1), rtol=0.05
    )


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("config.json", {"model_type": "mpnet"}),
        ("sentence_bert_config.json", {"do_lower_case": True}),
        ("config_sentence_transformers.json", {"prompts": {"document": "passage: "}}),
        ("1_Pooling/config.json", {"pooling_mode": "max"}),
    ],
)
def test_other_models_are_left_to_float32(encoder, tmp_path, name, changed):
    assert runs_in_int8(encoder.folder, read_encoder_folder(encoder.folder))
    folder = shutil.copytree(encoder.folder, tmp_path / "model")
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    assert not runs_in_int8(folder, read_encoder_folder(folder))


def test_without_the_extra_it_is_float32(encoder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    np.testing.assert_array_equal(encoder.encode_corpus(PAIRS), encoder.encode_passages(PAIRS))
    monkeypatch.undo()
    assert load_encoder().id == encoder.id
