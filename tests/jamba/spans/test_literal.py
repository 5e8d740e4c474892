"""The language of whole words allows exactly the spans of its texts, and knows where they stand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from jamba.spans.literal import LiteralSpans, Word, WordSpan

TOKENS = st.lists(st.integers(0, 3), min_size=1, max_size=2).map(tuple)
WORDS = st.builds(Word, TOKENS, TOKENS | st.just(()), st.booleans())
TEXTS = st.lists(st.lists(WORDS, max_size=6), max_size=3)


def spans(texts: list[list[Word]]) -> dict[tuple[int, ...], WordSpan]:
    """Every way of writing every span, with the first place it stands at."""
    found: dict[tuple[int, ...], WordSpan] = {}
    for number, words in enumerate(texts):
        for start, first in enumerate(words):
            written = first.first
            for end, word in enumerate(words[start:] if written else (), start + 1):
                written += word.tokens if end > start + 1 else ()
                if word.closes:
                    place = WordSpan(number, start, end)
                    found[written] = min(found.get(written, place), place)
    return found


def beginnings(texts: list[list[Word]]) -> set[tuple[int, ...]]:
    """All that may be written, whether it leads to a span or not."""
    open_ended = [[Word(word.tokens, word.first) for word in words] for words in texts]
    return {written[:n] for written in spans(open_ended) for n in range(len(written) + 1)} | {()}


@settings(deadline=None)
@given(TEXTS)
def test_what_may_be_written_is_what_stands_there(texts):
    language, known, begun = LiteralSpans(texts), spans(texts), beginnings(texts)
    for written in begun:
        assert language.following(written) == {t for t in range(4) if (*written, t) in begun}
        assert language.span(written) == known.get(written)
        assert language.may_end(written) == (written in known)
        assert language.following((*written, 9)) == frozenset()


def test_the_first_of_several_texts_is_the_place():
    bank, of, paris = (Word((n,), (n, n)) for n in range(3))
    language = LiteralSpans([[of], [bank, of, paris], [bank, of]])
    assert language.span((0, 0, 1)) == WordSpan(1, 0, 2)
    assert language.span((1, 1)) == WordSpan(0, 0, 1)
    assert language.span((0, 1)) is None
    assert language.span((0, 0, 2)) is None
