"""Whether a passage's text holds an answer's words: DPR's rule, which says nothing of relevance.

Words are compared without case and in one Unicode form, and an answer has to stand as whole words.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

REMEMBERED = 20_000  # texts; the same passages are met again and again
# A word with its marks (decomposed accents), or any one sign.
_TOKEN = re.compile(r"(?:[^\W_]|[\u0300-\u036f])+|\S")


def answer_rank(texts: Sequence[str], answers: Sequence[str]) -> int | None:
    """The 1-based rank of the first of `texts` that holds one of `answers`."""
    looked_for = [words for answer in answers if (words := _joined(answer)).strip()]
    for rank, text in enumerate(texts, start=1):
        held = _joined(text)
        if any(words in held for words in looked_for):
            return rank
    return None


@lru_cache(REMEMBERED)
def _joined(text: str) -> str:
    """The words and signs of `text`, a blank before and after each."""
    tokens = _TOKEN.findall(unicodedata.normalize("NFD", text).lower())
    return f" {' '.join(tokens)} "
