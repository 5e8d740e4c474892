"""The tokenizer trained here: exact on any text, special tokens in place, Jamba's chat layout."""

import json

import pytest

from jamba.config import JambaError
from jamba.tokens.bpe import END_OF_TURN, SMALLEST, SPECIAL_TOKENS, train_tokenizer
from jamba.tokens.chat import load_tokenizer

TEXTS = ["the cat sat on the mat and the dog sat on the cat " * 20, "Ünïcode über alles"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    train_tokenizer(TEXTS, SMALLEST + 20, folder)
    return folder


@pytest.fixture(scope="module")
def tokenizer(folder):
    return load_tokenizer(folder)


@pytest.mark.parametrize(
    "text", ["the cat", "", " a\n\n b\t", "naïve ½ 東京 🙂", "\x00\x7f", "<|eom|>"]
)
def test_any_text_survives(tokenizer, text):
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_special_tokens_have_the_ids_of_their_places(tokenizer):
    ids = [tokenizer.encode_special(token) for token in SPECIAL_TOKENS]
    assert ids == [[place] for place in range(len(SPECIAL_TOKENS))]
    assert SPECIAL_TOKENS[:4] == ("<|pad|>", "<|startoftext|>", "<|endoftext|>", "<|unk|>")


def test_a_control_token_that_someone_wrote_stays_words(tokenizer):
    assert SPECIAL_TOKENS.index(END_OF_TURN) not in tokenizer.encode("stop<|eom|>")


def test_the_vocabulary_has_the_size_asked_for(folder):
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    assert len(model["vocab"]) == SMALLEST + 20


def test_texts_too_small_for_a_vocabulary_are_refused(tmp_path):
    with pytest.raises(JambaError, match="not 5000; add text"):
        train_tokenizer(TEXTS, 5000, tmp_path)


def test_a_vocabulary_without_room_for_bytes_is_refused(tmp_path):
    with pytest.raises(JambaError, match=f"at least {SMALLEST}"):
        train_tokenizer(TEXTS, SMALLEST - 1, tmp_path)


def test_documents_stand_before_the_last_question(tokenizer):
    rendered = tokenizer.render(
        [
            {"role": "user", "content": "One?"},
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Two?"},
        ],
        [{"title": "T", "text": "Words.", "page": "3"}, {"text": "More."}],
    )
    assert rendered == (
        "<|startoftext|><|bom|><|system|> <|eom|>"
        "<|bom|><|user|> One?<|eom|><|bom|><|assistant|> Yes.<|eom|>"
        "<|bom|><|system|> <documents>\n# Documents\n\n"
        "You can use the following documents for reference:\n\n"
        "## Document ID: 0\nTitle: T\nPage: 3\nText: Words.\n\n"
        "## Document ID: 1\nText: More.\n</documents><|eom|>"
        "<|bom|><|user|> Two?<|eom|><|bom|><|assistant|>"
    )


def test_a_system_message_takes_the_place_of_the_empty_one(tokenizer):
    rendered = tokenizer.render(
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    )
    assert rendered == (
        "<|startoftext|><|bom|><|system|> Be brief.<|eom|>"
        "<|bom|><|user|> Hi<|eom|><|bom|><|assistant|>"
    )
