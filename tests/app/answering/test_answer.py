"""Questions to a small real index."""

import threading

import pytest

from app.answering.answer import QuestionError, answer_question
from app.answering.followup import Turn
from app.answering.prompt import ABSTAIN
from app.answering.quoting import Readers
from app.answering.reader import open_reader
from app.models.model_types import ModelError
from app.models.resolve import resolve
from app.types import AnswerMode, Checking, Done, QuoteSource, Retrieved, TextDelta

pytestmark = pytest.mark.java


def ask(index, question, model=None, source=QuoteSource.READER, **options):
    readers = Readers(open_reader(), model, source)
    *events, done = answer_question(question, index=index, readers=readers, **options)
    assert isinstance(events[0], Retrieved)
    assert isinstance(done, Done)
    shown = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert shown.strip() == done.answer.text
    return done.answer


@pytest.mark.parametrize(
    ("question", "words", "document"),
    [
        ("Who designed the Orchard Bridge?", "Anna Kern", "bridge.pdf"),
        ("How much did renewing the deck cost?", "3.4 million", "bridge.pdf"),
        ("How many books may members borrow?", "eight", "library.md"),
        ("When was the glass house built?", "1932", "garden.txt"),
    ],
)
def test_quotes_are_the_exact_words_of_the_document(index, question, words, document):
    answer = ask(index, question)
    assert answer.mode is AnswerMode.QUOTE
    cited = answer.citations[0]
    assert words in cited.text
    assert cited.document == document
    assert index.text(cited.document_id)[cited.start : cited.end] == cited.text
    assert answer.sentences[0].citations == (1,)
    assert answer.model is None
    assert 0 < answer.timings.retrieval <= answer.timings.total


def test_pages_are_kept(index):
    (first, *_) = ask(index, "How much did renewing the deck cost?").citations
    assert first.page == 2


@pytest.mark.parametrize(
    "question",
    ["Who won the chess championship in 1972?", "What is the boiling point of nitrogen?"],
)
def test_what_the_documents_do_not_say(index, question):
    answer = ask(index, question)
    assert (answer.mode, answer.text, answer.citations) == (AnswerMode.ABSTAIN, ABSTAIN, ())
    assert answer.passages  # the nearest are listed all the same


def test_a_follow_up_is_searched_with_its_history(index):
    history = [Turn("When was the Orchard Bridge opened?", "It was opened on 4 May 1911.")]
    answer = ask(index, "Who designed it?", history=history)
    assert answer.searched == "Who designed it? Orchard Bridge opened May"
    assert "Anna Kern" in answer.text


def test_answers_keep_to_the_chosen_documents(index):
    answer = ask(index, "Who designed the Orchard Bridge?", documents=["c" * 64])
    assert {passage.document for passage in answer.passages} == {"library.md"}
    assert answer.mode is AnswerMode.ABSTAIN
    assert ask(index, "Who designed the bridge?", documents=[]).passages == ()


@pytest.fixture(scope="module")
def model(model_folder):
    opened = resolve(str(model_folder), prompt_tokens=900, answer_tokens=16, snapshot_mb=64)
    yield opened
    opened.close()


def test_free_answers_are_generated_cached_and_checked(index, model):
    question = "Who designed the Orchard Bridge?"
    first = ask(index, question, mode=AnswerMode.FREE, model=model)
    assert (first.mode, first.model) == (AnswerMode.FREE, model.name)
    assert first.text
    assert all(sentence.citations == () for sentence in first.sentences)  # it is noise
    assert first.cache.prompt_tokens > first.cache.cached_tokens == 0
    assert first.timings.retrieval < first.timings.first_token <= first.timings.total
    again = ask(index, question, mode=AnswerMode.FREE, model=model)
    assert again.text == first.text
    assert again.cache.cached_tokens == again.cache.prompt_tokens
    assert again.cache.restored_from == "memory"


def test_a_free_answer_checked_twice(index, model):
    readers = Readers(open_reader(), model, drafts=3)
    question = "Who designed the Orchard Bridge?"
    events = list(answer_question(question, index=index, readers=readers, mode=AnswerMode.FREE))
    assert [event for event in events if isinstance(event, Checking)] == [
        Checking(3),
        Checking(3, differ=True),  # it is noise
    ]
    answer = events[-1].answer
    assert "".join(e.text for e in events if isinstance(e, TextDelta)).strip() == answer.text
    assert answer.check.drafts == 3
    assert answer.cache.cached_tokens > answer.cache.prompt_tokens / 2  # the drafts' prompt is one
    with pytest.raises(QuestionError, match="only free answers"):
        list(answer_question(question, index=index, readers=readers))


def test_free_answers_stop_when_told(index, model):
    cancel = threading.Event()
    cancel.set()
    stopped = ask(index, "Why?", mode=AnswerMode.FREE, model=model, cancel=cancel)
    assert stopped.stopped


def test_questions_that_cannot_be_asked(index):
    with pytest.raises(QuestionError, match="empty"):
        ask(index, " \n")
    with pytest.raises(QuestionError, match="8000"):
        ask(index, "why " * 9000)
    with pytest.raises(QuestionError, match="--model"):
        ask(index, "Why?", mode=AnswerMode.FREE)


@pytest.mark.parametrize("source", [QuoteSource.MODEL, QuoteSource.BOTH])
def test_a_language_model_may_choose_the_quotes(index, model, source):
    question = "Who designed the Orchard Bridge?"
    answer = ask(index, question, model=model, source=source)
    for citation in answer.citations:
        assert index.text(citation.document_id)[citation.start : citation.end] == citation.text
        assert citation.start <= citation.focus[0] < citation.focus[1] <= citation.end
    assert answer.model == model.name
    assert answer.mode is not AnswerMode.FREE
    assert answer.cache.written_tokens > 0
    assert answer.timings.first_token == answer.timings.total
    cancel = threading.Event()
    cancel.set()
    assert ask(index, "Why?", model=model, source=source, cancel=cancel).stopped


def test_only_a_local_model_can_quote(index):
    with pytest.raises(ModelError, match="'quotes' to reader"):
        ask(index, "Why?", source=QuoteSource.MODEL)
