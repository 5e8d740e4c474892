"""One small real index for every test here: real encoder, real Lucene, real vectors."""

from pathlib import Path

import pytest

from tests.app.town import DOCUMENTS


@pytest.fixture(scope="session")
def encoder():
    from retrieval.encoders.encoder import load_encoder

    return load_encoder()


@pytest.fixture(scope="session")
def index_folder(tmp_path_factory, encoder) -> Path:
    from retrieval.ingest.writer import IndexWriter

    folder: Path = tmp_path_factory.mktemp("index") / "town"
    with IndexWriter(folder, encoder) as writer:
        for document in DOCUMENTS:
            writer.add(document.id, document.name, document.extracted)
        writer.commit()
    return folder


@pytest.fixture(scope="session")
def index(index_folder, encoder):
    from retrieval.index import Index

    opened = Index.open(index_folder, encoder)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """A tiny Jamba with random weights: everything of a checkpoint but sense."""
    import torch

    import jamba
    from jamba.network.model import Jamba
    from jamba.tokens.bpe import train_tokenizer

    folder: Path = tmp_path_factory.mktemp("model")
    train_tokenizer([document.text for document in DOCUMENTS] * 3, 400, folder)
    config = jamba.JambaConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_layer_period=2,
        attn_layer_offset=1,
        num_experts=1,
        num_experts_per_tok=1,
        max_position_embeddings=4096,
    )
    torch.manual_seed(0)
    jamba.save_model(Jamba(config), folder)
    return folder


@pytest.fixture(scope="module")
def tiny_model(model_folder):
    """The tiny Jamba as the application runs it, with a small cache of states."""
    from app.models.local_model import LocalModel
    from jamba import SnapshotStore

    model = LocalModel(
        model_folder,
        name="tiny",
        notice="",
        prompt_tokens=800,
        answer_tokens=24,
        snapshots=SnapshotStore(2**26),
    )
    yield model
    model.close()
