"""The words of a passage as tokens: what quotes of whole words are put together from.

A word is letters, digits and marks that hang together, with a sign between two of them ("don't",
"1,000") or at a number ("$5", "5%"); of scripts that are written without spaces every character is
one. Where a token holds more than a word, they count as one.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jamba.spans.literal import Word
    from jamba.tokens.chat import TextToken

JOINERS = frozenset(".,'’")
BEHIND_NUMBERS = frozenset("%‰°")
ZERO_WIDTH_JOINER = "\u200d"
_UNSPACED = re.compile(  # Thai, Lao, Burmese, Khmer, kana and ideographs
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff]"
)
Encode = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class PlacedWord:
    """A word, and where in the passage's text it stands, without white space around it."""

    word: "Word"
    start: int
    end: int


def placed_words(text: str, tokens: "Sequence[TextToken]", spell_first: Encode) -> list[PlacedWord]:
    """The words of a passage in order; `tokens` are those of its text.

    `spell_first` gives the tokens of a word where an answer begins with it.
    """
    return [_placed(text, group, spell_first) for group in _groups(text, tokens)]


def _groups(text: str, tokens: "Sequence[TextToken]") -> "Iterator[list[TextToken]]":
    """The tokens, cut where one word ends and the next begins; white space goes with the next."""
    group: list[TextToken] = []
    for token in tokens:
        is_apart = not group or group[-1].end <= token.start
        if is_apart and not is_inside(text, token.start) and _spoken(text, group):
            yield group
            group = []
        group.append(token)
    if _spoken(text, group):
        yield group


def _spoken(text: str, group: "Sequence[TextToken]") -> str:
    """What some tokens stand for, without white space around it; "" for none."""
    return text[group[0].start : group[-1].end].strip() if group else ""


def _placed(text: str, group: "Sequence[TextToken]", spell_first: Encode) -> PlacedWord:
    from jamba.spans.literal import Word

    piece = text[group[0].start : group[-1].end]
    start = group[0].start + len(piece) - len(piece.lstrip())
    end = start + len(piece.strip())
    word = text[start:end]
    after_space = start == 0 or text[start - 1].isspace()
    before_space = end == len(text) or text[end].isspace()
    has_letters = any(map(_is_letter, word))
    opens = has_letters or (after_space and not before_space)  # "(", but no dash by itself
    closes = has_letters or (before_space and not after_space)
    first = tuple(spell_first(word)) if opens else ()
    return PlacedWord(Word(tuple(token.id for token in group), first, closes), start, end)


def is_inside(text: str, at: int) -> bool:
    """Whether `at` lies within a word or a character, not between two."""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    if _is_mark(right) or ZERO_WIDTH_JOINER in (left, right):
        return not left.isspace()
    if (left.isdigit() and right in BEHIND_NUMBERS) or (_is_currency(left) and right.isdigit()):
        return True
    if right in JOINERS and at + 1 < len(text):
        right = text[at + 1]
    elif left in JOINERS and at > 1:
        left = text[at - 2]
    joined = _is_letter(left) and _is_letter(right)
    return joined and not (_UNSPACED.match(left) or _UNSPACED.match(right))


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_" or _is_mark(character)


def _is_currency(character: str) -> bool:
    return unicodedata.category(character) == "Sc"


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")
