"""Checkpoints in published layouts give the vectors that their own classes give."""

import json

import numpy as np
import pytest
import torch

from retrieval.encoders.checkpoints import import_checkpoint, open_trainable
from retrieval.encoders.encoder import load_encoder
from retrieval.types import RetrievalError
from tests.retrieval.random_encoders import save_bert, save_dpr

TEXTS = ["the weir", "salmon pass the old mill of the valley", "a flood"]


def inputs(folder, texts):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")


def dpr_vectors(folder, texts, side="Context"):
    """What the class on the model card gives."""
    import transformers

    model = getattr(transformers, f"DPR{side}Encoder").from_pretrained(folder).eval()
    with torch.no_grad():
        return model(**inputs(folder, texts)).pooler_output.numpy()


def test_spider_is_read_as_the_context_encoder_that_it_is(tmp_path):
    folder = save_dpr(tmp_path / "spider")
    import_checkpoint(folder, tmp_path / "model")
    encoder = load_encoder(str(tmp_path / "model"))
    assert (encoder.pooling, encoder.normalized, encoder.title_separator) == (
        "cls",
        False,
        " [SEP] ",
    )
    assert (encoder.dimension, encoder.max_tokens) == (16, 62)
    expected = dpr_vectors(folder, TEXTS)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected, atol=1e-5)
    titled = encoder.encode_passages([("the mill", text) for text in TEXTS])
    joined = [f"the mill [SEP] {text}" for text in TEXTS]
    np.testing.assert_allclose(titled, dpr_vectors(folder, joined), atol=1e-5)
    ids = inputs(folder, joined[:1])["input_ids"][0].tolist()
    assert ids.count(3) == 2  # the separator is one token, not the letters s, e and p


def test_a_checkpoint_with_torch_weights_is_read_too(tmp_path):
    from safetensors.torch import load_file

    folder = save_dpr(tmp_path / "spider")
    expected = dpr_vectors(folder, TEXTS)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    model, _ = open_trainable(folder)
    np.testing.assert_allclose(model.encode(TEXTS), expected, atol=1e-5)


def test_dpr_has_one_encoder_for_questions_and_one_for_passages(tmp_path):
    passages = save_dpr(tmp_path / "ctx", seed=1)
    questions = save_dpr(tmp_path / "question", seed=2, side="Question")
    import_checkpoint(passages, tmp_path / "model", questions)
    encoder = load_encoder(str(tmp_path / "model"))
    assert (encoder.pooling, encoder.dimension, encoder.max_tokens) == ("cls", 16, 62)
    asked = dpr_vectors(questions, TEXTS, "Question")
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), asked, atol=1e-5)
    read = dpr_vectors(passages, TEXTS)
    np.testing.assert_allclose(
        encoder.encode_passages([("", text) for text in TEXTS]), read, atol=1e-5
    )
    assert np.abs(asked - read).max() > 0.1
    assert encoder.weight_hash != load_encoder_hash(tmp_path, passages)


def load_encoder_hash(tmp_path, checkpoint):
    import_checkpoint(checkpoint, tmp_path / "alone")
    return load_encoder(str(tmp_path / "alone")).weight_hash


@pytest.mark.parametrize("imported", [False, True])
def test_contriever_is_the_mean_of_its_tokens(tmp_path, imported):
    from transformers import BertModel

    folder = save_bert(tmp_path / "contriever", architecture="Contriever")
    if imported:
        import_checkpoint(folder, tmp_path / "model")
    encoder = load_encoder(str(tmp_path / "model" if imported else folder))
    batch = inputs(folder, TEXTS)
    with torch.no_grad():
        states = BertModel.from_pretrained(folder).eval()(**batch).last_hidden_state
    mask = batch["attention_mask"][..., None]
    expected = (states * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected.numpy(), atol=1e-5)
    (titled,) = encoder.encode_passages([("the mill", "salmon")])
    (joined,) = encoder.encode_queries(["the mill salmon"])
    np.testing.assert_allclose(titled, joined, atol=1e-5)


def test_a_plain_bert_is_pooled_by_cls(tmp_path):
    from transformers import BertModel

    folder = save_bert(tmp_path / "bert")
    model, separator = open_trainable(folder)
    with torch.no_grad():
        states = BertModel.from_pretrained(folder).eval()(**inputs(folder, TEXTS)).last_hidden_state
    np.testing.assert_allclose(model.encode(TEXTS), states[:, 0].numpy(), atol=1e-5)
    assert separator == " [SEP] "


def test_an_encoder_keeps_its_own_pooling(encoder):
    model, _ = open_trainable(encoder.folder)
    (vector,) = model.encode(["the weir"])
    np.testing.assert_allclose(vector, encoder.encode_queries(["the weir"])[0], atol=1e-5)


def test_what_is_no_retriever_is_refused(tmp_path):
    with pytest.raises(RetrievalError, match="train import"):
        load_encoder(str(save_dpr(tmp_path / "spider")))
    both = save_dpr(tmp_path / "reader")
    config = json.loads((both / "config.json").read_text())
    (both / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(RetrievalError, match="lacks"):
        open_trainable(both)
    with pytest.raises(RetrievalError, match="is missing"):
        open_trainable(tmp_path)
    with pytest.raises(RetrievalError, match="there already"):
        import_checkpoint(both, tmp_path)
