"""The life of a question: find passages, quote them or have them read, cite the exact words."""

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from threading import Event as Flag
from typing import TYPE_CHECKING

from app.answering.followup import Turn, searched_text
from app.answering.prompt import ABSTAIN, Reading
from app.answering.quote import cite
from app.answering.quoting import NO_CACHE, Quoted, Readers, find_quotes, quoting_model
from app.answering.support import supported_sentences
from app.answering.twice import write_checked
from app.models.model_types import Finished
from app.types import (
    Answer,
    AnswerMode,
    Check,
    Checking,
    Citation,
    Done,
    Event,
    OrbweaverError,
    QuoteSource,
    Retrieved,
    RetrievedPassage,
    Sentence,
    TextDelta,
    Timings,
)

if TYPE_CHECKING:
    from retrieval.encoders.encoder import Encoder
    from retrieval.index import Index
    from retrieval.types import Hit, Passage

QUESTION_CHARACTERS = 8000
HISTORY_TURNS = 3  # earlier turns that a model reads again


class QuestionError(OrbweaverError):
    """The question cannot be asked as it is."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question with what was found for it, and when (`time.perf_counter`) it was asked."""

    question: str
    searched: str
    passages: tuple[RetrievedPassage, ...]
    started: float
    found: float


def answer_question(
    question: str,
    *,
    index: "Index",
    readers: Readers,
    mode: AnswerMode = AnswerMode.QUOTE,
    k: int = 4,
    history: Sequence[Turn] = (),
    documents: Collection[str] | None = None,
    cancel: Flag | None = None,
) -> Iterator[Event]:
    """Answer from the `k` best passages: first Retrieved, then TextDelta as text comes, then Done.

    Where free answers have several drafts, Checking says what is done before the text comes.
    `documents` limits the search to those document ids. The answer abstains where the passages do
    not say. Raises QuestionError for an empty or overlong question, ModelError where the model of
    free mode is missing or fails.
    """
    _check(question, readers, mode)
    started = time.perf_counter()
    searched = searched_text(question, history)
    passages = find_passages(index, searched, k, documents)
    asked = _Asked(question, searched, passages, started, time.perf_counter())
    yield Retrieved(searched, passages)
    if not passages:
        yield from _abstain(asked, Quoted(()))
    elif mode is AnswerMode.FREE:
        yield from _free(asked, index, readers, history, cancel)
    else:
        yield from _quote(asked, index, readers, history, cancel)


def find_passages(
    index: "Index", searched: str, k: int, documents: Collection[str] | None = None
) -> tuple[RetrievedPassage, ...]:
    """The best `k` passages with their documents' names, best first.

    They come from the hybrid search, ranked again by their best sentence where there are vectors.
    """
    from retrieval.sentence_rank import DEPTH, rank_by_sentences

    hits = index.search(searched, k=max(k, DEPTH), documents=documents)
    passages = index.passages([hit.passage_id for hit in hits])
    if any("dense" in hit.parts for hit in hits):
        hits = rank_by_sentences(searched, hits, passages, sentence_encoder(index))
    by_id = {passage.id: passage for passage in passages}
    return tuple(_retrieved(index, hit, by_id[hit.passage_id]) for hit in hits[:k])


def _retrieved(index: "Index", hit: "Hit", passage: "Passage") -> RetrievedPassage:
    return RetrievedPassage(
        passage.id,
        passage.document_id,
        index.document(passage.document_id).name,
        passage.title,
        passage.text,
        passage.page,
        passage.start,
        passage.end,
        hit.score,
        hit.parts,
    )


def sentence_encoder(index: "Index") -> "Encoder":
    """The packaged MiniLM, which the rules for quotes and support were measured with.

    It is the index's own as a rule; an index for BM25 alone has none.
    """
    from retrieval.encoders.encoder import PACKAGED
    from retrieval.types import RetrievalError

    with suppress(RetrievalError):
        if index.encoder.id == PACKAGED:
            return index.encoder
    return _packaged_encoder()


@cache
def _packaged_encoder() -> "Encoder":
    from retrieval.encoders.encoder import load_encoder

    return load_encoder()


def _check(question: str, readers: Readers, mode: AnswerMode) -> None:
    if not question.strip():
        raise QuestionError("the question is empty; ask something")
    if len(question) > QUESTION_CHARACTERS:
        raise QuestionError(
            f"the question has {len(question)} characters; {QUESTION_CHARACTERS} is the limit"
        )
    if mode is AnswerMode.FREE and readers.language_model is None:
        raise QuestionError("free answers need a language model; name one with --model")
    if mode is AnswerMode.QUOTE and readers.drafts > 1:
        raise QuestionError("only free answers are checked twice; quotes are never made up")
    if mode is AnswerMode.QUOTE and readers.quotes is not QuoteSource.READER:
        quoting_model(readers)


def _quote(
    asked: _Asked,
    index: "Index",
    readers: Readers,
    history: Sequence[Turn],
    cancel: Flag | None,
) -> Iterator[Event]:
    """Literal sentences, one citation each."""
    reading = _reading(asked, history)
    found = find_quotes(reading, asked.searched, readers, sentence_encoder(index), cancel)
    if not found.quotes and not found.stopped:
        yield from _abstain(asked, found)
        return
    citations = tuple(
        cite(number, asked.passages[quote.passage], quote.start, quote.end, quote.focus)
        for number, quote in enumerate(found.quotes, 1)
    )
    sentences = tuple(Sentence(each.text, (each.number,)) for each in citations)
    text = "\n\n".join(sentence.text for sentence in sentences)
    yield TextDelta(text)
    yield Done(_told(_answer(asked, text, AnswerMode.QUOTE, sentences, citations), found))


def _told(answer: Answer, found: Quoted) -> Answer:
    """The answer with the language model that took part in finding its quotes, if any."""
    if found.model is None:
        return answer
    timings = replace(answer.timings, first_token=answer.timings.total)
    return replace(
        answer, timings=timings, cache=found.cache, model=found.model, stopped=found.stopped
    )


def _reading(asked: _Asked, history: Sequence[Turn]) -> Reading:
    return Reading(asked.question, asked.passages, tuple(history[-HISTORY_TURNS:]))


def _free(
    asked: _Asked,
    index: "Index",
    readers: Readers,
    history: Sequence[Turn],
    cancel: Flag | None,
) -> Iterator[Event]:
    """Generated text as it comes; its sentences are linked to their support at the end."""
    model = readers.language_model
    assert model is not None
    pieces: list[str] = []
    first, end, check = None, Finished(NO_CACHE, stopped=False), None
    for piece in write_checked(model, _reading(asked, history), readers.drafts, cancel):
        if isinstance(piece, Finished):
            end = piece
        elif isinstance(piece, Check):
            check = piece
        elif isinstance(piece, Checking):
            yield piece
        else:
            first = first or time.perf_counter() - asked.started
            pieces.append(piece)
            yield TextDelta(piece)
    text = "".join(pieces).strip()
    sentences, citations = supported_sentences(text, asked.passages, sentence_encoder(index))
    refused = text.rstrip(".").lower() == ABSTAIN.rstrip(".").lower()
    mode = AnswerMode.ABSTAIN if refused else AnswerMode.FREE
    answer = _answer(asked, text, mode, sentences, citations)
    yield Done(
        replace(
            answer,
            timings=replace(answer.timings, first_token=first),
            cache=end.cache,
            model=model.name,
            stopped=end.stopped,
            check=check,
        )
    )


def _abstain(asked: _Asked, found: Quoted) -> Iterator[Event]:
    """Say that nothing was found; the nearest passages are listed all the same."""
    yield TextDelta(ABSTAIN)
    answer = _answer(asked, ABSTAIN, AnswerMode.ABSTAIN, (Sentence(ABSTAIN, ()),), ())
    yield Done(_told(answer, found))


def _answer(
    asked: _Asked,
    text: str,
    mode: AnswerMode,
    sentences: tuple[Sentence, ...],
    citations: tuple[Citation, ...],
) -> Answer:
    """An answer made now, without a model."""
    found, total = asked.found - asked.started, time.perf_counter() - asked.started
    return Answer(
        question=asked.question,
        searched=asked.searched,
        text=text,
        mode=mode,
        sentences=sentences,
        citations=citations,
        passages=asked.passages,
        timings=Timings(found, None, total),
        cache=NO_CACHE,
        model=None,
    )
