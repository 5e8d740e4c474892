"""A local Jamba, tiny and untrained, through the real tokenizer, engine and snapshots."""

import threading

import pytest

from app.answering.followup import Turn
from app.answering.prompt import Reading
from app.models.local_model import LocalModel
from app.models.model_types import Finished, ModelError, PromptTooLong
from app.models.resolve import resolve
from app.types import RetrievedPassage
from jamba.cache.snapshots import SnapshotStore
from jamba.config import Quantisation

TEXTS = (
    "The Orchard Bridge was opened on 4 May 1911. Anna Kern designed it.",
    "Members may borrow up to eight books at a time. A loan lasts four weeks.",
    "The glass house was built by Tomas Reyes in 1932 and holds orchids.",
)
PASSAGES = tuple(
    RetrievedPassage(f"d{n}#0", f"d{n}", f"{n}.txt", "", text, None, 0, len(text), 1.0, {})
    for n, text in enumerate(TEXTS)
)


@pytest.fixture
def model(tiny_model):
    """The model, without states from the test before."""
    for passage in PASSAGES:
        tiny_model.forget(passage.document_id)
    return tiny_model


def read(model, reading, cancel=None):
    *pieces, end = model.generate(reading, cancel)
    assert isinstance(end, Finished)
    return "".join(pieces), end


def test_a_second_question_about_the_same_passages_reads_only_itself(model):
    first_text, first = read(model, Reading("Who designed it?", PASSAGES))
    assert first_text
    assert first.cache.cached_tokens == 0
    _, second = read(model, Reading("When was it opened?", PASSAGES))
    assert second.cache.restored_from == "memory"
    assert second.cache.cached_tokens > second.cache.prompt_tokens / 2
    again_text, again = read(model, Reading("Who designed it?", PASSAGES))
    assert again_text == first_text
    assert again.cache.cached_tokens == again.cache.prompt_tokens


def test_passages_that_begin_alike_are_shared(model):
    _, first = read(model, Reading("Why?", PASSAGES))
    _, other = read(model, Reading("Why?", (*PASSAGES[:2], PASSAGES[0])))
    assert 0 < other.cache.cached_tokens < first.cache.prompt_tokens


def test_a_removed_document_leaves_no_state_behind(model):
    read(model, Reading("Why?", PASSAGES))
    assert model.forget("d1") > 0
    _, end = read(model, Reading("Why?", PASSAGES))
    assert end.cache.cached_tokens == 0


def test_a_long_reading_is_packed_into_the_budget(model):
    _, end = read(model, Reading("Why?", PASSAGES * 20, (Turn("Who?", "She."),)))
    assert 400 < end.cache.prompt_tokens <= 800
    _, bare = read(model, Reading("Why?", PASSAGES, (Turn("Who?", "Long. " * 900),)))
    assert bare.cache.prompt_tokens <= 800
    with pytest.raises(PromptTooLong, match="fewer words"):
        read(model, Reading("Why? " * 900, PASSAGES))


def test_cancel_stops_early(model):
    cancel = threading.Event()
    cancel.set()
    _, end = read(model, Reading("Why?", PASSAGES), cancel)
    assert end.stopped


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(ModelError, match="mine"):
        LocalModel(
            tmp_path,
            name="mine",
            notice="",
            prompt_tokens=800,
            answer_tokens=8,
            snapshots=SnapshotStore(0),
        )


def test_int8_weights_answer_too(model_folder):
    settings = {"prompt_tokens": 800, "answer_tokens": 8, "snapshot_mb": 0}
    small = resolve(str(model_folder), quantisation=Quantisation.ALL, **settings)
    try:
        text, end = read(small, Reading("Who designed it?", PASSAGES))
    finally:
        small.close()
    assert text
    assert 0 < (end.tokens or 0) <= 8


def test_a_server_is_not_asked_to_quantise():
    with pytest.raises(ModelError, match="quantisation"):
        resolve("http://127.0.0.1:9/v1", quantisation=Quantisation.EXPERTS)
