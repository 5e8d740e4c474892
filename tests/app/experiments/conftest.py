"""Tiny models with random weights, saved by transformers, and a text to try them on."""

from pathlib import Path

import pytest

from tests.app.town import BRIDGE, DOCUMENTS, GARDEN, LIBRARY

TEXT = "\n\n".join([LIBRARY, BRIDGE, GARDEN])  # some 600 tokens of the tiny vocabulary
VOCABULARY = 400


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny models run on one core: threads would only wait for each other on a busy machine."""
    import numba
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)


@pytest.fixture(scope="session")
def text_file(tmp_path_factory) -> Path:
    """The text that is evaluated, as a file."""
    path: Path = tmp_path_factory.mktemp("text") / "town.txt"
    path.write_text(TEXT, "utf-8")
    return path


@pytest.fixture(scope="session")
def gpt2_folder(tmp_path_factory) -> Path:
    """A GPT-2 of two layers that reads 160 tokens."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=VOCABULARY,
        n_positions=160,
        n_embd=32,
        n_layer=2,
        n_head=4,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = _saved(GPT2LMHeadModel(config), tmp_path_factory.mktemp("gpt2"))
    (folder / "chat_template.jinja").unlink()  # GPT-2 has none
    return folder


@pytest.fixture(scope="session")
def jamba_folder(tmp_path_factory) -> Path:
    """A hybrid Jamba with experts, as transformers saves it."""
    from transformers import JambaConfig, JambaForCausalLM

    config = JambaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_experts=4,
        attn_layer_period=3,
        attn_layer_offset=1,
        mamba_d_state=8,
        max_position_embeddings=512,
    )
    return _saved(JambaForCausalLM(config), tmp_path_factory.mktemp("jamba"))


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory, jamba_folder) -> Path:
    """A BERT of one layer with the tiny models' words."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder: Path = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(jamba_folder).save_pretrained(folder)
    return folder


def _saved(model, folder: Path) -> Path:
    """The model with weights large enough to matter, and a tokenizer of the town's words."""
    import torch

    from jamba.tokens.bpe import train_tokenizer

    torch.manual_seed(5)
    for name, parameter in model.named_parameters():
        if "norm" not in name and "ln_" not in name and "A_log" not in name:
            parameter.data.normal_(0, 0.2)
    model.eval().save_pretrained(folder)
    train_tokenizer([document.text for document in DOCUMENTS] * 3, VOCABULARY, folder)
    return folder


@pytest.fixture(scope="session")
def corpus_index(tmp_path_factory) -> Path:
    """An index of other texts on the same things, without vectors."""
    from retrieval.ingest.writer import IndexWriter
    from retrieval.types import Extracted

    folder: Path = tmp_path_factory.mktemp("corpus") / "index"
    with IndexWriter(folder, None) as writer:
        for name, text in CORPUS.items():
            writer.add(name, f"{name}.txt", Extracted(name, text, (), "text/plain"))
        writer.commit()
    return folder


CORPUS = {
    "Bridges": "Old stone bridges cross every river of the region. An engineer was paid in francs.",
    "Books": "A library lends books for weeks.\nLate books cost a few cents each day.\nNo renewal.",
    "Trees": "Maple trees grow beside the glass house. Orchids need warmth. Dogs may not enter.",
    "Engines": "Steam engines pulled vehicles over the mountains before the road was opened.",
    "Hours": "On Saturdays the rooms close at noon; on weekdays they are open from nine to six.",
}
