"""Quote mode: which sentences of the retrieved passages answer, in their own words, or none.

A linear rule over a few signals, the reader's judgement the strongest of them;
`benchmarks/answers/tune_quote.py` measured its weights and threshold.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.answering.words import is_content, numbers, stem, stems, words
from app.types import Citation, RetrievedPassage
from retrieval.sentence_rank import SentenceEncoder
from retrieval.sentences import sentence_spans
from retrieval.types import ReadSpan, Region

SURE = 8.0  # log odds of the reader beyond this count no further


class SpanReader(Protocol):
    """What is needed of `retrieval.reading.reader.Reader`."""

    def read(
        self, question: str, passages: Sequence[str], regions: Sequence[Region]
    ) -> list[ReadSpan | None]: ...


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of one passage, `passages[passage].text[start:end]`, and the odds that they answer.

    `focus` is where, in the same passage, the very words stand that the reader points at.
    """

    passage: int
    start: int
    end: int
    score: float  # log odds
    focus: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks for one sentence; each but the first from about 0 to 1."""

    read: float  # log odds of its best words, by the reader, within SURE of 0
    likeness: float  # cosine of question and sentence
    first: float  # 1 / rank of its passage
    shared: float  # share of the question's words in sentence or title, rare ones counting more
    lacking: float  # 1 where a number or a name is asked for and the sentence has no new one


@dataclass(frozen=True, slots=True)
class Weights:
    """Log odds that a sentence answers: a weight a signal. Below `threshold` nothing is quoted.

    Fitted to SQuAD questions of the calibration articles by benchmarks/answers/tune_quote.py. The
    threshold is the one that refused 7.1% of the answerable questions it was fitted on.
    """

    read: float = 0.7
    likeness: float = 3.8
    first: float = 1.76
    shared: float = 3.12
    lacking: float = -1.08
    bias: float = -6.72
    threshold: float = -2.7
    margin: float = 2.0  # how far below the best the second sentence may be


def best_quotes(
    question: str,
    passages: Sequence[RetrievedPassage],
    encoder: SentenceEncoder,
    reader: SpanReader,
    weights: Weights = Weights(),
) -> list[Quote]:
    """The best sentence, and the second where it is nearly as good; none where nothing answers.

    Two neighbours become one quote; a sentence alone takes the one behind it along, in which an
    answer often stands. Best first; ties in the order of the passages.
    """
    found = sentences_to_read(question, passages)
    spans = reader.read(question, [passage.text for passage in passages], found)
    return chosen_quotes(question, passages, found, spans, encoder, weights)


def sentences_to_read(question: str, passages: Sequence[RetrievedPassage]) -> list[Region]:
    """The sentences of the passages that can answer at all."""
    return [each for each in sentences_of(passages) if may_answer(question, each, passages)]


def chosen_quotes(
    question: str,
    passages: Sequence[RetrievedPassage],
    found: Sequence[Region],
    spans: Sequence[ReadSpan | None],
    encoder: SentenceEncoder,
    weights: Weights = Weights(),
) -> list[Quote]:
    """As `best_quotes`, of the sentences `found` with the best words that were read in each."""
    if not found:
        return []
    rows = signals(question, passages, found, spans, encoder)
    scored = sorted(
        (
            Quote(
                sentence.passage,
                sentence.start,
                sentence.end,
                log_odds(row, weights),
                None if span is None else (span.start, span.end),
            )
            for sentence, span, row in zip(found, spans, rows, strict=True)
        ),
        key=lambda quote: (-quote.score, quote.passage, quote.start),
    )
    best = scored[0]
    if best.score < weights.threshold:
        return []
    lowest = max(weights.threshold, best.score - weights.margin)
    quotes = [quote for quote in scored[:2] if quote.score >= lowest]
    if len(quotes) == 1:
        return [_with_next(best, passages[best.passage].text)]
    first, second = sorted(quotes, key=lambda quote: (quote.passage, quote.start))
    behind = _with_next(first, passages[first.passage].text)
    if (behind.passage, behind.end) == (second.passage, second.end):
        return [replace(first, end=second.end, score=best.score, focus=best.focus)]
    return quotes


def quote_around(span: ReadSpan, text: str) -> Quote:
    """The sentences of a passage's `text` that a span touches; the span is their focus."""
    touched = [each for each in sentence_spans(text) if each[0] < span.end and span.start < each[1]]
    start = min([span.start, *(start for start, _ in touched)])
    end = max([span.end, *(end for _, end in touched)])
    return Quote(span.passage, start, end, span.score, (span.start, span.end))


def _with_next(quote: Quote, text: str) -> Quote:
    """The quote and the sentence behind it on the same line: rows and headings stand alone."""
    following = next((span for span in sentence_spans(text) if span[0] >= quote.end), None)
    if following is None or "\n" in text[quote.end : following[0]]:
        return quote
    return replace(quote, end=following[1])


def log_odds(row: Signals, weights: Weights) -> float:
    """How likely it is that a sentence with these signals answers, as log odds."""
    return (
        weights.bias
        + weights.read * row.read
        + weights.likeness * row.likeness
        + weights.first * row.first
        + weights.shared * row.shared
        + weights.lacking * row.lacking
    )


def sentences_of(passages: Sequence[RetrievedPassage]) -> list[Region]:
    """Every sentence of every passage, in order."""
    return [
        Region(number, start, end)
        for number, passage in enumerate(passages)
        for start, end in sentence_spans(passage.text)
    ]


def cite(
    number: int,
    passage: RetrievedPassage,
    start: int,
    end: int,
    focus: tuple[int, int] | None = None,
) -> Citation:
    """The citation of `passage.text[start:end]`, with its place in the whole document."""
    at = passage.start
    return Citation(
        number,
        passage.passage_id,
        passage.document_id,
        passage.document,
        passage.page,
        at + start,
        at + end,
        passage.text[start:end],
        focus=None if focus is None else (at + focus[0], at + focus[1]),
    )


def signals(
    question: str,
    passages: Sequence[RetrievedPassage],
    sentences: Sequence[Region],
    spans: Sequence[ReadSpan | None],
    encoder: SentenceEncoder,
) -> list[Signals]:
    """The signals of every sentence; `spans` are what the reader found in each."""
    texts = [_text(sentence, passages) for sentence in sentences]
    asked = encoder.encode_queries([question])[0]  # (d,)
    titles = [passages[sentence.passage].title for sentence in sentences]
    likeness = encoder.encode_passages(list(zip(titles, texts, strict=True))) @ asked
    shares = _shares(
        question, [f"{title} {text}" for title, text in zip(titles, texts, strict=True)]
    )
    return [
        Signals(
            _read(span),
            float(alike),
            1 / (1 + sentence.passage),
            share,
            float(lacks_answer(question, text)),
        )
        for sentence, span, text, alike, share in zip(
            sentences, spans, texts, likeness, shares, strict=True
        )
    ]


def _read(span: ReadSpan | None) -> float:
    return -SURE if span is None else max(-SURE, min(SURE, span.score))


def _text(sentence: Region, passages: Sequence[RetrievedPassage]) -> str:
    return passages[sentence.passage].text[sentence.start : sentence.end]


def _shares(question: str, texts: Sequence[str]) -> list[float]:
    """For each text the share of the question's content words in it, rare words counting more."""
    asked = stems(question)
    held = [asked & stems(text) for text in texts]
    frequency = Counter(word for words in held for word in words)
    weight = {word: math.log(1 + len(texts) / (1 + frequency[word])) for word in asked}
    total = sum(weight.values())
    return [sum(weight[word] for word in words) / total if total else 0.0 for words in held]


# What kind of answer the opening of a question asks for.
_WANTS_NUMBER = re.compile(
    r"\b(when|how (many|much|long|old|far|often|tall|high|large|big|deep|fast|few)|(what|which)"
    r" (year|date|day|month|century|decade|percent\w*|number|amount|price|cost|age|time))\b"
)
_WANTS_NAME = re.compile(r"\b(who|whose|whom)\b|\b(what|which) (person|company|city|country)\b")
_NUMBER = re.compile(
    r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|hundred|thousand|million"
    r"|billion|half|once|twice|century|daily|weekly|monthly|yearly|january|february|march|april|may"
    r"|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)


def lacks_answer(question: str, sentence: str) -> bool:
    """Whether a number, a date or a name is asked for and the sentence brings none of its own."""
    asked = question.lower()
    known = {stem(word) for word in words(question)}
    new = [word for word in words(sentence) if stem(word) not in known]
    if _WANTS_NUMBER.search(asked):
        return not any(_NUMBER.search(word) for word in new)
    if _WANTS_NAME.search(asked):
        return not any(word[0].isupper() and is_content(word) for word in new)
    return False


def may_answer(question: str, region: Region, passages: Sequence[RetrievedPassage]) -> bool:
    """Whether a sentence can answer at all.

    A question cannot, nor a heading that repeats this one, nor what is said of another number:
    a year or an amount that is asked about has to stand in the sentence or its title. (Small
    numbers may be written in words.)
    """
    sentence, title = _text(region, passages), passages[region.passage].title
    asked_about = {number for number in numbers(question) if len(number) > 1}
    return (
        not sentence.rstrip().endswith("?")
        and bool(stems(sentence) - stems(question))
        and asked_about <= numbers(f"{title} {sentence}")
    )
