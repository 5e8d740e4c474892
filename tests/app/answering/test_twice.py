"""Answers checked twice, by a real small model and by one that says what it is told to."""

from threading import Event

import pytest

from app.answering.drafts import TEMPERATURE
from app.answering.prompt import Reading
from app.answering.twice import write_checked
from app.models.model_types import Finished, ModelBusy, PromptTooLong, Writing, Written
from app.types import CacheUse, Check, Checking, Outcome, RetrievedPassage
from tests.app.town import BRIDGE

PASSAGE = RetrievedPassage("b#0", "b", "a.txt", "Bridge", BRIDGE, 1, 0, len(BRIDGE), 1.0, {})
READING = Reading("When did it open?", (PASSAGE,))


class Says:
    """Answers with one text after another, or fails with an error in its place."""

    def __init__(self, *texts):
        self.texts, self.asked = list(texts), []

    def generate(self, reading, cancel=None):
        for piece in self.write(reading, Writing(), cancel):
            yield piece if isinstance(piece, Finished) else piece.text

    def packed(self, reading):
        return reading

    def write(self, reading, how, cancel=None, user=""):
        self.asked.append((reading, how))
        said = self.texts.pop(0)
        if isinstance(said, Exception):
            raise said
        return iter([Written(said), Finished(CacheUse(10, 4, "memory", None, 2), stopped=False)])


def test_drafts_that_agree_are_the_answer():
    model = Says("In 1911.", "in 1911", "in 1911!")
    assert list(write_checked(model, READING, 3)) == [
        Checking(3),
        "In 1911.",
        Check(3, Outcome.AGREED),
        Finished(CacheUse(30, 12, "memory", None, 6), stopped=False),
    ]
    assert [(how.temperature, how.seed) for _, how in model.asked] == [
        (0.0, None),
        (TEMPERATURE, 1),
        (TEMPERATURE, 2),
    ]
    assert all(reading == READING for reading, _ in model.asked)


def test_drafts_that_differ_go_back_with_the_evidence():
    model = Says("1911", "1912", "1912.")
    *pieces, end = write_checked(model, READING, 2)
    assert pieces == [Checking(2), Checking(2, differ=True), "1912.", Check(2, Outcome.CHOSEN)]
    assert end.cache.prompt_tokens == 30
    second = model.asked[-1][0]
    assert second.passages == READING.passages
    assert "- 1911\n- 1912\n" in second.question


@pytest.mark.parametrize("silence", ["", PromptTooLong("too long")])
def test_the_first_draft_stays_where_nothing_comes_of_it(silence):
    *_, text, check, _ = write_checked(Says("1911", "1912", silence), READING, 2)
    assert (text, check) == ("1911", Check(2, Outcome.KEPT))


def test_a_full_queue_ends_the_drafts_that_were_begun():
    cancel = Event()
    with pytest.raises(ModelBusy):
        list(write_checked(Says("1911", ModelBusy("full")), READING, 2, cancel))
    assert cancel.is_set()


def test_a_real_model_reads_the_passages_once(tiny_model):
    pieces = list(write_checked(tiny_model, READING, 3))
    end = pieces[-1]
    assert pieces[:2] == [Checking(3), Checking(3, differ=True)]  # drawn from noise
    assert isinstance(pieces[-2], Check)
    read = end.cache.prompt_tokens - end.cache.cached_tokens
    assert read < end.cache.prompt_tokens / 2
    assert [p for p in write_checked(tiny_model, READING, 3) if isinstance(p, str)] == [
        p for p in pieces if isinstance(p, str)
    ]


def test_it_stops_when_told(tiny_model):
    cancel = Event()
    cancel.set()
    *pieces, end = write_checked(tiny_model, READING, 3, cancel)
    assert end.stopped
    assert not any(isinstance(piece, Check) for piece in pieces)
