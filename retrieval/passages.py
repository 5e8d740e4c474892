"""Text -> passages of about 100 words, cut where sentences end, never crossing a page; pure.

A passage is a run of whole sentences. Only a sentence too long for a passage of its own is cut, at
a space where it has one. Together the passages hold every character that is not white space, once.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from retrieval.sentences import sentence_spans, trimmed
from retrieval.types import Span

CountTokens = Callable[[Sequence[str]], list[int]]

_WORDS_IN_CJK_CHARACTER = 0.6
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")
_CHARACTERS_A_WORD = 12  # prose has fewer; longer words (data, addresses) count as several

_LONGEST = 1.5  # a passage may be this many times the wanted size rather than cut a sentence
_HEADING_WORDS = 14


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or a part of one too long for a passage, and its size in words."""

    start: int
    end: int
    size: float
    heading: bool


def split_passages(
    text: str,
    page_starts: Sequence[int] = (),
    *,
    words: int = 100,
    max_tokens: int | None = None,
    count_tokens: CountTokens | None = None,
) -> list[Span]:
    """Cut `text` into passages of about `words` words, in order.

    `page_starts[i]` is the offset where page i + 1 begins; without it `Span.page` is None. With
    `count_tokens` every span carries its count, and with `max_tokens` none has more (unless a
    single character has).
    """
    if words < 1 or (max_tokens is not None and max_tokens < 1):
        raise ValueError(f"words and max_tokens must be at least 1, not {words} and {max_tokens}")
    if max_tokens is not None and count_tokens is None:
        raise ValueError("max_tokens needs count_tokens to count with")
    spans = []
    for page, start, end in _pages(text, page_starts):
        pieces = _pieces(text, start, end, words)
        spans += [Span(first, last, page) for first, last in _pack(pieces, words)]
    if count_tokens is None:
        return spans
    return _fit(text, spans, max_tokens, count_tokens)


def _pages(text: str, page_starts: Sequence[int]) -> Iterator[tuple[int | None, int, int]]:
    """Page number, start and end of each page; one unnumbered page if there are none."""
    if not page_starts:
        yield None, 0, len(text)
        return
    if page_starts[0] > 0:
        yield None, 0, page_starts[0]
    for i, start in enumerate(page_starts):
        end = page_starts[i + 1] if i + 1 < len(page_starts) else len(text)
        yield i + 1, start, end


def _pieces(text: str, start: int, end: int, words: int) -> list[_Piece]:
    """The sentences of `text[start:end]`, those too long for a passage cut into even parts."""
    page = text[start:end]
    pieces = []
    for first, last in sentence_spans(page):
        sentence = page[first:last]
        size = _size(sentence)
        if size > words * _LONGEST:
            parts = _cut_evenly(page, first, last, round(size / words))
            pieces += [_Piece(start + a, start + b, size / len(parts), False) for a, b in parts]
        else:
            heading = _is_heading(page, sentence, last, size)
            pieces.append(_Piece(start + first, start + last, size, heading))
    return pieces


def _size(sentence: str) -> float:
    """How long a sentence is, in words: by spaces, by characters in scripts without them."""
    words: float = len(sentence.split())
    if not sentence.isascii():
        words += _WORDS_IN_CJK_CHARACTER * len(_CJK.findall(sentence))
    return max(words, len(sentence) / _CHARACTERS_A_WORD)


def _is_heading(page: str, sentence: str, end: int, size: float) -> bool:
    """Whether the sentence ending at `end` is a short line that announces what follows."""
    if size > _HEADING_WORDS or sentence[-1] in ".!?;,。！？…" or sentence.startswith("- "):
        return False
    following = page[end : end + 8]
    return "\n" in following[: len(following) - len(following.lstrip())]


def _pack(pieces: Sequence[_Piece], words: int) -> Iterator[tuple[int, int]]:
    """Spans of consecutive pieces, each as near to `words` words as whole pieces allow."""
    left = sum(piece.size for piece in pieces)
    first = 0
    while first < len(pieces):
        passages_left = max(1, round(left / words))
        last, size = _fill(pieces, first, left / passages_left)
        if last == len(pieces) or left - size < words / 4:  # no orphan at the end
            last = len(pieces)
        yield pieces[first].start, pieces[last - 1].end
        left -= size
        first = last


def _fill(pieces: Sequence[_Piece], first: int, target: float) -> tuple[int, float]:
    """Index after the last piece of the passage that starts at `first`, and its size."""
    last, size = first, 0.0
    while last < len(pieces):
        grown = size + pieces[last].size
        if last > first and grown - target > target - size:
            break
        if pieces[last].heading and size > 0.6 * target:
            return last, size
        size, last = grown, last + 1
    while last < len(pieces) and last - 1 > first and pieces[last - 1].heading:
        last -= 1  # a heading goes with what it announces
        size -= pieces[last].size
    return last, size


def _fit(
    text: str, spans: list[Span], max_tokens: int | None, count_tokens: CountTokens
) -> list[Span]:
    """The spans with their token counts; those over `max_tokens` cut in two until none is."""
    done: list[Span] = []
    while spans:
        counts = count_tokens([text[span.start : span.end] for span in spans])
        halves = []
        for span, tokens in zip(spans, counts, strict=True):
            if max_tokens is None or tokens <= max_tokens or span.end - span.start == 1:
                done.append(Span(span.start, span.end, span.page, tokens))
            else:
                halves += [Span(a, b, span.page) for a, b in _halve(text, span)]
        spans = halves
    return sorted(done, key=lambda span: span.start)


def _halve(text: str, span: Span) -> list[tuple[int, int]]:
    """Two parts of `span`, at the end of a sentence if it has more than one."""
    sentences = sentence_spans(text[span.start : span.end])
    if len(sentences) < 2:
        return _cut_evenly(text, span.start, span.end, 2)
    middle = (span.end - span.start) / 2
    cut = min(range(1, len(sentences)), key=lambda i: (abs(sentences[i][0] - middle), i))
    return [
        (span.start + sentences[0][0], span.start + sentences[cut - 1][1]),
        (span.start + sentences[cut][0], span.start + sentences[-1][1]),
    ]


def _cut_evenly(text: str, start: int, end: int, parts: int) -> list[tuple[int, int]]:
    """At most `parts` spans of `text[start:end]`, about equally long, cut at spaces."""
    step = (end - start) / parts
    cuts = [start]
    for i in range(1, parts):
        wanted = start + round(i * step)
        cut = _nearest_space(text, wanted, max(cuts[-1] + 1, wanted - round(step / 2)), end)
        if cuts[-1] < cut < end:
            cuts.append(cut)
    cuts.append(end)
    spans = [trimmed(text, a, b) for a, b in pairwise(cuts)]
    return [span for span in spans if span is not None]


def _nearest_space(text: str, wanted: int, low: int, high: int) -> int:
    """The offset of the last white space in `text[low:wanted]`, else `wanted` itself."""
    for i in range(min(wanted, high - 1), low - 1, -1):
        if text[i].isspace():
            return i
    return wanted
