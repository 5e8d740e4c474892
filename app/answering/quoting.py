"""Quotes from the reader, from a language model held to literal words, or from both together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Event as Flag

from app.answering.prompt import Reading
from app.answering.quote import (
    SURE,
    Quote,
    SpanReader,
    best_quotes,
    chosen_quotes,
    quote_around,
    sentences_to_read,
)
from app.models.local_model import LocalModel
from app.models.model_types import LanguageModel, ModelError
from app.types import CacheUse, QuoteSource
from retrieval.sentence_rank import SentenceEncoder
from retrieval.types import ReadSpan

NO_CACHE = CacheUse(0, 0, "none")
PROPOSED = 5  # spans of the reader that a language model weighs, too


@dataclass(frozen=True, slots=True)
class Readers:
    """What reads the passages: one finds literal words; the other, where there is one, writes."""

    spans: SpanReader
    language_model: LanguageModel | None = None
    quotes: QuoteSource = QuoteSource.READER
    drafts: int = 1  # of a free answer; several are compared where they differ


@dataclass(frozen=True, slots=True)
class Mixture:
    """What the reader's and a language model's log odds are worth in those of both together.

    `python -m benchmarks.answers.bench_quote` fits them.
    """

    reader: float = 1.0
    model: float = 0.2
    bias: float = 0.0


@dataclass(frozen=True, slots=True)
class Quoted:
    """Quotes, the best first; and the language model, if one took part, with what it cost."""

    quotes: tuple[Quote, ...]
    model: str | None = None
    cache: CacheUse = NO_CACHE
    stopped: bool = False


def find_quotes(
    reading: Reading,
    searched: str,
    readers: Readers,
    encoder: SentenceEncoder,
    cancel: Flag | None = None,
) -> Quoted:
    """The quotes that answer, by who is to say; none where the passages do not say.

    The reader is asked what was `searched`, the model reads the question behind its history. Raises
    ModelError where a language model is to quote and there is no local one.
    """
    passages = reading.passages
    if readers.quotes is QuoteSource.MODEL:
        return _by_model(reading, quoting_model(readers), cancel)
    if readers.quotes is QuoteSource.READER:
        return Quoted(tuple(best_quotes(searched, passages, encoder, readers.spans)))
    found = sentences_to_read(searched, passages)
    if not found:
        return Quoted(())
    spans = readers.spans.read(searched, [passage.text for passage in passages], found)
    weighed, said = weigh_spans(spans, reading, quoting_model(readers), cancel=cancel)
    if said.stopped:
        return said
    return replace(said, quotes=tuple(chosen_quotes(searched, passages, found, weighed, encoder)))


def quoting_model(readers: Readers) -> LocalModel:
    """The language model, if its next words can be chosen here; else ModelError."""
    model = readers.language_model
    if not isinstance(model, LocalModel):
        raise ModelError(
            f"{'no model' if model is None else model.name}: quotes by a language model need a "
            "local one; name a folder or a hub id with --model, or set 'quotes' to reader"
        )
    return model


def mixed(read: float, said: float, mixture: Mixture) -> float:
    """The log odds that a span answers, from the reader's and the model's, each within SURE."""
    read, said = (max(-SURE, min(SURE, each)) for each in (read, said))
    return mixture.reader * read + mixture.model * said + mixture.bias


def proposed(spans: Sequence[ReadSpan | None]) -> list[int]:
    """Which of the spans are the PROPOSED with the highest scores; ties in order."""
    scores = {n: span.score for n, span in enumerate(spans) if span is not None}
    return sorted(scores, key=lambda n: (-scores[n], n))[:PROPOSED]


def _by_model(reading: Reading, model: LocalModel, cancel: Flag | None) -> Quoted:
    """The sentences around the span that the model holds likeliest, if likelier than a refusal."""
    found = model.find_spans(reading, cancel)
    if found is None:
        return Quoted((), model.name, stopped=True)
    best = found.spans[:1] if found.spans and found.spans[0].score > 0 else ()
    quotes = tuple(quote_around(span, reading.passages[span.passage].text) for span in best)
    return Quoted(quotes, model.name, found.cache)


def weigh_spans(
    spans: Sequence[ReadSpan | None],
    reading: Reading,
    model: LocalModel,
    mixture: Mixture = Mixture(),
    cancel: Flag | None = None,
) -> tuple[list[ReadSpan | None], Quoted]:
    """The reader's best spans with the log odds of both, and who weighed.

    None in place of all others, and of those that the model did not weigh.
    """
    kept: list[ReadSpan | None] = [None] * len(spans)
    best = {n: span for n in proposed(spans) if (span := spans[n]) is not None}
    weighed = model.weigh_texts(reading, [words(s, reading) for s in best.values()], cancel)
    if weighed is None:
        return kept, Quoted((), model.name, stopped=True)
    for (n, span), said in zip(best.items(), weighed[0], strict=True):
        if said is not None:
            kept[n] = replace(span, score=mixed(span.score, said, mixture))
    return kept, Quoted((), model.name, weighed[1])


def words(span: ReadSpan, reading: Reading) -> str:
    """What a span points at."""
    return reading.passages[span.passage].text[span.start : span.end]
