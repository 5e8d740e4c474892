"""Token vectors made of the packaged encoder's word vectors."""

import pytest
import torch

from app.training.lm_embedding import encoder_embedding
from jamba.tokens.bpe import SMALLEST, train_tokenizer
from jamba.tokens.chat import load_tokenizer
from retrieval.encoders.encoder import load_encoder

WORDS = " king queen river lake walking talking"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer([WORDS] * 50, SMALLEST + 24, folder)
    return load_tokenizer(folder)


@pytest.mark.parametrize("width", [48, 400])
def test_tokens_that_mean_alike_begin_alike(tokenizer, width):
    vectors = encoder_embedding(tokenizer, SMALLEST + 24, width, 0.02, load_encoder().folder)
    assert vectors.shape == (SMALLEST + 24, width)
    assert vectors[vectors.any(1)].std().item() == pytest.approx(0.02, rel=1e-3)

    def likeness(one: str, other: str) -> float:
        first, second = (vectors[tokenizer.encode(f" {word}")].mean(0) for word in (one, other))
        return float(torch.cosine_similarity(first, second, dim=0))

    assert likeness("king", "queen") > likeness("king", "river")
    assert likeness("river", "lake") > likeness("queen", "lake")


def test_special_tokens_begin_with_nothing(tokenizer):
    vectors = encoder_embedding(tokenizer, SMALLEST + 24, 48, 0.02, load_encoder().folder)
    assert not vectors[tokenizer.encode_special("<|bom|>")].any()
