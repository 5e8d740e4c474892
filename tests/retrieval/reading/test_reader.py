"""Windows, span choice, training, exact resume: on a tiny encoder made here."""

import json

import numpy as np
import pytest
import torch

from retrieval.reading.reader import (
    ANSWER_TOKENS,
    WINDOW_TOKENS,
    Calibration,
    Reader,
    Window,
    best_within,
    collate,
    load_reader,
    make_windows,
    new_span_model,
    open_tokenizer,
)
from retrieval.reading.reader_data import Example
from retrieval.reading.reader_train import ReaderTraining, save_reader, train_reader
from retrieval.training.loss_curve import read_curve
from retrieval.types import Region, RetrievalError

WORDS = (
    "the weir was built in 1932 by a miller when who where trust river opened spring salmon".split()
)
EXAMPLES = [
    Example("when was the weir built", "the weir was built in 1932 by a miller", (22, 26)),
    Example("who built the weir", "the weir was built in 1932 by a miller", (30, 38)),
    Example("when was the weir opened", "the river trust", None),
] * 8


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT folder of two layers with random weights and a word vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, hidden_dropout_prob=0.1,
    )  # fmt: skip
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def test_windows_cover_a_long_passage_with_exact_offsets(encoder):
    passage = " ".join(WORDS[i % len(WORDS)] for i in range(900))
    windows = make_windows(open_tokenizer(encoder), "when was it", passage)
    seen = {offset for window in windows for offset in window.offsets if offset is not None}
    assert len(windows) > 2
    assert max(len(window.ids) for window in windows) <= WINDOW_TOKENS
    assert {passage[a:b] for a, b in seen} == set(WORDS)
    assert len(seen) == 900


def test_an_empty_passage_still_makes_one_window(encoder):
    (window,) = make_windows(open_tokenizer(encoder), "when", "")
    assert all(offset is None for offset in window.offsets)


def test_the_best_span_of_a_region_lies_inside_it_is_short_and_never_backwards():
    """Tokens 1 to 79 are one character each; [CLS], token 0, has the no-answer score."""
    window = Window(0, (0,) * 80, (0,) * 80, (None, *((at, at + 1) for at in range(79))))
    start, end = np.zeros(80), np.zeros(80)
    start[[0, 5, 30]], end[[3, 8, 79]] = [0.5, 2.0, 1.0], [9.0, 1.0, 8.0]
    found = best_within(Region(0, 4, 60), window, start, end)
    assert (found.start, found.end, found.score) == (4, 8, 2.5)
    long = best_within(Region(0, 4, 79), window, start, end)  # not from token 30, too far from 79
    assert (long.start, long.end, long.score) == (79 - ANSWER_TOKENS, 79, 7.5)
    assert best_within(Region(0, 79, 99), window, start, end) is None


def test_padding_does_not_change_scores(encoder):
    model, tokenizer = new_span_model(encoder).eval(), open_tokenizer(encoder)
    short = make_windows(tokenizer, "who built the weir", "a miller")[0]
    long = make_windows(tokenizer, "who built the weir", " ".join(WORDS))[0]
    with torch.inference_mode():
        alone = model(*collate([short]))
        beside = model(*collate([short, long]))[:, :1, : alone.shape[2]]
    assert torch.allclose(alone, beside, atol=1e-5)


def test_windows_of_another_size_give_what_a_reader_of_that_size_gives(encoder):
    model, tokenizer = new_span_model(encoder), open_tokenizer(encoder)
    passage = " ".join(WORDS[i % len(WORDS)] for i in range(200))
    narrow, wide = (Reader(model, tokenizer, window_tokens=size) for size in (32, 128))
    assert narrow.read("who built it", [passage], window_tokens=128) == wide.read(
        "who built it", [passage]
    )


def test_a_stopped_training_resumes_to_the_same_weights(encoder, tmp_path):
    settings = ReaderTraining(batch_size=4, save_every=2, learning_rate=1e-3)
    whole = train_reader(EXAMPLES, encoder, tmp_path / "whole", settings)

    def stop_after_three(step, steps, loss):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_reader(EXAMPLES, encoder, tmp_path / "cut", settings, stop_after_three)
    resumed = train_reader(EXAMPLES, encoder, tmp_path / "cut", settings)
    for ours, theirs in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    curves = [read_curve(tmp_path / run / "loss.jsonl") for run in ("whole", "cut")]
    losses = [[point.loss for point in curve] for curve in curves]
    assert losses[0] == losses[1]
    assert len(losses[0]) == 6
    assert (tmp_path / "cut/loss.png").read_bytes().startswith(b"\x89PNG")


def test_it_learns_saves_what_changed_and_reads_exact_words(encoder, tmp_path):
    settings = ReaderTraining(batch_size=6, learning_rate=3e-3, head_learning_rate=1e-2)
    model = train_reader(EXAMPLES * 12, encoder, tmp_path, settings)
    save_reader(tmp_path, model, Calibration(2.0, 1.0), 64, {"note": "tiny"})
    reader = load_reader(tmp_path, encoder)
    passages = ["the river trust", "the weir was built in 1932 by a miller"]
    _, best = reader.read("when was the weir built", passages)
    assert passages[best.passage][best.start : best.end] == "1932"
    assert best.score > 1
    (none,) = reader.read("when was the weir opened", passages[:1])
    assert none.score < 1
    early, late = reader.read(
        "when was the weir built", passages, [Region(1, 0, 21), Region(1, 22, 26)]
    )
    assert (late.start, late.end) == (22, 26)
    assert early.end <= 21
    assert late.score == pytest.approx(best.score)
    assert json.loads((tmp_path / "reader.json").read_text())["note"] == "tiny"


def test_a_trained_reader_is_trained_further(encoder, tmp_path):
    settings = ReaderTraining(batch_size=6, learning_rate=3e-3, head_learning_rate=1e-2)
    first = train_reader(EXAMPLES * 4, encoder, tmp_path / "first", settings)
    save_reader(tmp_path / "first", first, Calibration(), 64, {})
    still = ReaderTraining(batch_size=6, learning_rate=0.0, head_learning_rate=0.0)
    second = train_reader(EXAMPLES, encoder, tmp_path / "on", still, start=tmp_path / "first")
    for ours, theirs in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=2e-3)  # float16 in between


def test_no_passages_no_spans_and_no_examples_is_an_error(encoder, tmp_path):
    reader = Reader(new_span_model(encoder), open_tokenizer(encoder))
    assert reader.read("when", []) == []
    assert reader.read("when", [""]) == [None]
    with pytest.raises(RetrievalError, match="no examples"):
        train_reader([], encoder, tmp_path)
    with pytest.raises(RetrievalError, match="not a reader folder"):
        load_reader(tmp_path / "missing", encoder)
