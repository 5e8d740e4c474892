"""The checkpoint that ships: small, complete, the same in transformers, and it comes to an end."""

import json

import pytest
import torch

import jamba
from app.models.resolve import BUNDLED
from jamba.engine import Engine
from jamba.tokens.bpe import CHAT_TEMPLATE, SPECIAL_TOKENS
from jamba.tokens.chat import load_tokenizer

MESSAGES = [{"role": "user", "content": "When was the bridge opened?"}]
DOCUMENTS = [{"title": "Bridge", "text": "The bridge was opened in 1911 by the mayor of the town."}]


@pytest.fixture(scope="module")
def model():
    return jamba.load_model(BUNDLED)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(BUNDLED)


def test_it_is_small_and_leaves_no_training_state():
    files = {path.name: path.stat().st_size for path in BUNDLED.iterdir()}
    assert sum(files.values()) < 64_000_000
    assert "training.safetensors" not in files
    assert {"config.json", "model.safetensors", "tokenizer.json", "recipe.json"} < files.keys()


def test_the_card_says_what_it_is_and_the_command():
    card = (BUNDLED / "README.md").read_text(encoding="utf-8")
    measured = json.loads((BUNDLED / "training.json").read_text(encoding="utf-8"))["measured"]
    assert "small" in card
    assert "python -m app train lm" in card
    assert "CC BY-SA" in card
    assert f"{measured['held_out_loss']:.2f}" in card
    assert measured["minutes"] < 360
    assert measured["parameters"] < 10_000_000


def test_it_was_trained_on_tuning_articles_and_never_on_reporting_text():
    recipe = json.loads((BUNDLED / "recipe.json").read_text(encoding="utf-8"))
    assert all(item["split"] in ("squad", "policyqa") for item in recipe["questions"])
    assert not any("test" in name for name in recipe["texts"])


def test_it_has_all_it_was_meant_to_have(model):
    config = model.config
    layers = range(config.num_hidden_layers)
    assert {config.is_attention(i) for i in layers} == {True, False}
    assert {config.is_moe(i) for i in layers} == {True, False}


def test_tokenizer_and_template_are_the_ones_this_version_makes(model, tokenizer):
    assert (BUNDLED / "chat_template.jinja").read_text(encoding="utf-8") == CHAT_TEMPLATE
    assert tokenizer.encode_special("".join(SPECIAL_TOKENS)) == list(range(len(SPECIAL_TOKENS)))
    assert tokenizer.eos_ids == model.config.eos_token_ids == (2, 5)


def test_transformers_gives_the_same_logits_and_tokens(model, tokenizer):
    transformers = pytest.importorskip("transformers")
    theirs = transformers.JambaForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32).eval()
    ids = torch.tensor([tokenizer.encode_chat(MESSAGES, DOCUMENTS).ids])
    with torch.no_grad():
        expected = theirs(ids, use_cache=False).logits
    ours = model.logits(ids)
    assert ((ours - expected).abs().max() / expected.abs().max()).item() < 1e-4
    their_tokenizer = transformers.AutoTokenizer.from_pretrained(BUNDLED)
    rendered = their_tokenizer.apply_chat_template(
        MESSAGES, documents=DOCUMENTS, add_generation_prompt=True, tokenize=False
    )
    assert rendered == tokenizer.render(MESSAGES, DOCUMENTS)
    assert their_tokenizer(rendered, add_special_tokens=False).input_ids == ids[0].tolist()


def test_answers_come_to_an_end(model, tokenizer):
    engine = Engine(model)
    try:
        prompt = tokenizer.encode_chat(MESSAGES, DOCUMENTS)
        request = engine.submit(prompt.ids, jamba.SamplingParams(max_tokens=64, temperature=0.0))
        answer = tokenizer.decode(list(engine.stream(request)))
    finally:
        engine.close()
    assert request.finish_reason == "stop"
    assert answer.strip()
