"""A static encoder is made from another one, opens like any, and reads texts of any length."""

import numpy as np
import pytest

from retrieval.encoders.encoder import load_encoder
from retrieval.index import Index
from retrieval.ingest.writer import IndexWriter
from retrieval.training.static_encoder import make_static, principal, weigh
from retrieval.types import Mode, RetrievalError
from tests.retrieval.conftest import TEXTS, extracted
from tests.retrieval.random_encoders import tiny_encoder


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    heard = []
    make_static(tiny_encoder(folder).folder, folder / "made", lambda *of: heard.append(of), 8)
    assert heard[-1][0] == heard[-1][1] > 50
    return load_encoder(str(folder / "made"))


def test_what_it_says_of_itself(static):
    assert (static.dimension, static.max_tokens, static.normalized) == (8, None, True)
    assert "static encoder" in (static.folder / "README.md").read_text()
    assert static.reads_whole(["apple " * 10_000]) == [True]


def test_a_text_is_the_mean_of_its_tokens(static):
    vectors = static.encode_queries(["bees", "orchard", "bees orchard", "orchard bees"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[2], vectors[3], atol=1e-5)
    plane = np.linalg.lstsq(vectors[:2].T, vectors[2], rcond=None)
    assert plane[1].item() < 1e-8  # between its words
    assert (plane[0] > 0).all()


def test_unknown_words_alone_have_no_direction(static):
    assert not static.encode_queries(["\u2603"]).any()


@pytest.mark.java
def test_an_index_is_built_with_it(static, tmp_path):
    with IndexWriter(tmp_path / "index", static) as writer:
        for name, text in TEXTS.items():
            writer.add(name, name, extracted(f"{text} " * 50, name))
        writer.add("long", "long", extracted("apple trees " * 5_000), whole=True)
        writer.commit()
    index = Index.open(tmp_path / "index")
    assert index.info()["counts"]["truncated"] == 0
    assert index.search("bees", mode=Mode.HYBRID)
    assert index.search("bees", mode=Mode.DENSE)
    index.close()


def test_principal_components_keep_what_differs_most():
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(200, 5)).astype(np.float32) * [1, 9, 1, 4, 1] + 3
    kept = principal(vectors.astype(np.float32), 2)
    assert kept.shape == (200, 2)
    np.testing.assert_allclose(kept.mean(axis=0), 0, atol=1e-4)
    assert kept.std(axis=0) == pytest.approx([9, 4], rel=0.2)


def test_common_tokens_count_less():
    lengths = np.linalg.norm(weigh(np.ones((1_000, 4), np.float32)), axis=1)
    assert (np.diff(lengths) > 0).all()
    assert lengths[0] < 0.1 * lengths[-1]


def test_a_folder_that_is_there_is_not_overwritten(static):
    with pytest.raises(RetrievalError, match="name another"):
        make_static(static.folder, static.folder, lambda *of: None)
