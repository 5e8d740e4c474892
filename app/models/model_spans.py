"""What a language model would quote: whole words of the passages in its prompt, and how sure it is.

Its answer is held to literal spans while it is written, so a quote needs no checking. How sure it
is, is how much likelier it holds the span than to say that the documents do not say.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from app.answering.prompt import ABSTAIN, Reading
from app.models.layout import PromptLayout
from app.models.model_types import PromptError
from app.models.passage_words import PlacedWord, placed_words
from app.types import CacheUse
from retrieval.types import ReadSpan

if TYPE_CHECKING:
    from jamba.sequence import Metrics
    from jamba.spans.span_search import Cost, Submit, Tokens
    from jamba.tokens.chat import ChatTokenizer

SPELLINGS = 2**15  # words whose tokens are remembered


@dataclass(frozen=True, slots=True)
class ModelSpans:
    """Spans with the model's log odds of each against saying nothing, and what they took."""

    spans: tuple[ReadSpan, ...]
    cache: CacheUse
    path_tokens: int  # of the first path alone, as free decoding would write
    is_best: bool  # whether no span that was not met can be better than the first


class SpanFinder:
    """Finds and weighs spans behind the prompts of one model; `ends` are its ends of an answer."""

    def __init__(
        self, tokenizer: "ChatTokenizer", layout: PromptLayout, ends: frozenset[int]
    ) -> None:
        self._layout, self._ends = layout, ends
        self._encode = lru_cache(SPELLINGS)(lambda text: tuple(tokenizer.encode(text)))

    def find(self, reading: Reading, submit: "Submit", power: float | None = None) -> ModelSpans:
        """The spans that the model would answer with, best first; none where there are no words.

        `reading` fits into a prompt, that which `submit` asks. Further paths than the likeliest
        take fewer tokens than the question, so that spans cost less than twice what a free answer
        does.
        """
        from jamba.spans.literal import LiteralSpans
        from jamba.spans.span_search import Effort, search

        lead = self._layout.lead(reading)
        words = self._words(reading, lead)
        language = LiteralSpans([[each.word for each in passage] for passage in words])
        power = Effort().power if power is None else power
        effort = Effort(tokens=self._layout.question_tokens(reading), power=power)
        found = search(submit, language, self._ends, [self._encode(lead + ABSTAIN)], effort)
        nothing = found.others[0]
        if nothing is None:
            raise PromptError("the model has no room for an answer; lower prompt_tokens")
        spans = tuple(
            ReadSpan(
                place.text,
                words[place.text][place.start].start,
                words[place.text][place.end - 1].end,
                each.score(power) - nothing.score(power),
            )
            for each in found.spans
            if (place := language.span(each.tokens)) is not None
        )
        return ModelSpans(spans, *_use(found.cost), found.is_best)

    def weigh(
        self, reading: Reading, texts: Sequence[str], submit: "Submit"
    ) -> tuple[list[float | None], CacheUse]:
        """The log odds of each of some texts, which should come best first.

        None where the model cannot write one, or where it would take more tokens than the question
        has: then only the first is always weighed.
        """
        from jamba.spans.span_search import Effort, weigh

        lead, power = self._layout.lead(reading), Effort().power
        refusal, *asked = (self._encode(lead + text) for text in (ABSTAIN, *texts))
        allowed = set(_affordable(asked, self._layout.question_tokens(reading) - len(refusal)))
        weighed, cost = weigh(submit, [refusal, *sorted(allowed)], self._ends)
        known = {each.tokens: each.score(power) for each in weighed if each is not None}
        if refusal not in known:
            raise PromptError("the model has no room for an answer; lower prompt_tokens")
        scores = [
            known[each] - known[refusal] if each in known and each in allowed else None
            for each in asked
        ]
        return scores, _use(cost)[0]

    def _words(self, reading: Reading, lead: str) -> list[list[PlacedWord]]:
        def spell_first(word: str) -> "Tokens":
            return self._encode(lead + word)

        tokens = self._layout.passage_tokens(reading)
        return [
            placed_words(passage.text, each, spell_first)
            for passage, each in zip(reading.passages, tokens, strict=True)
        ]


def _affordable(asked: "Sequence[Tokens]", tokens: int) -> "Iterator[Tokens]":
    """The first, and those behind it that fit into what is left of so many tokens."""
    for number, each in enumerate(asked):
        if not number or len(each) <= tokens:
            tokens -= len(each)
            yield each


def _use(cost: "Cost") -> tuple[CacheUse, int]:
    first = cost.first.generated_tokens
    return cache_use(cost.first, first + cost.more_tokens), first


def cache_use(metrics: "Metrics", written_tokens: int) -> CacheUse:
    """What one request's metrics say of the cache, and how many tokens were written."""
    reason = None if metrics.miss_reason is None else str(metrics.miss_reason)
    return CacheUse(
        metrics.prompt_tokens, metrics.cached_tokens, metrics.restored_from, reason, written_tokens
    )
