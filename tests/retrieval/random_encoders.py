"""Tiny checkpoints with random weights, in the layouts that encoders are published in."""

from pathlib import Path

from retrieval.encoders.checkpoints import import_checkpoint
from retrieval.encoders.encoder import Encoder, load_encoder

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!-"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = "the a of in river trust salmon weir mill orchard bees press flood valley apple".split()
SHAPE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


def save_tokenizer(folder: Path) -> int:
    """A WordPiece tokenizer that knows every ASCII word by its letters; returns its size."""
    from transformers import BertTokenizerFast

    vocabulary = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *WORDS]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return len(vocabulary)


def save_bert(folder: Path, *, seed: int = 0, architecture: str = "BertModel") -> Path:
    """BERT, or Contriever, which is one by another name."""
    import torch
    from transformers import BertConfig, BertModel

    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    model = BertModel(BertConfig(vocab_size=size, **SHAPE), add_pooling_layer=False)
    model.save_pretrained(folder)
    text = (folder / "config.json").read_text().replace('"BertModel"', f'"{architecture}"')
    (folder / "config.json").write_text(text)
    return folder


def tiny_encoder(folder: Path, *, seed: int = 0) -> Encoder:
    """A BERT of random weights, made in `folder`, as an encoder."""
    import_checkpoint(save_bert(folder / "bert", seed=seed), folder / "model")
    return load_encoder(str(folder / "model"))


def save_dpr(folder: Path, *, seed: int = 0, side: str = "Context") -> Path:
    """A DPR context or question encoder; `tau/spider` has the layout of the former."""
    import torch
    import transformers

    size = save_tokenizer(folder)
    torch.manual_seed(seed)
    config = transformers.DPRConfig(vocab_size=size, **SHAPE)
    getattr(transformers, f"DPR{side}Encoder")(config).save_pretrained(folder)
    return folder
