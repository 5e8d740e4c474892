"""The words of a question that carry meaning, reduced so that "opened" meets "opening"; pure."""

import re

_WORD = re.compile(r"[^\W_]+(?:['’.,][^\W_]+)*")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_SUFFIXES = ("ings", "ing", "edly", "ed", "ies", "es", "s", "ly", "e", "y")
_STOP = frozenset(
    "a about above after again all also am an and any are as at be became because been before being"
    " below between both but by can could did do does doing done down during each either else ever"
    " every few for from further get had has have having he her here hers herself him himself his"
    " how however i if in into is it its itself just many may me might more most much must my"
    " myself no nor not now of off on once one only or other our ours out over own please same"
    " shall she should so some such tell than that the their theirs them themselves then there"
    " these they this those though through to too under until up upon us very was we were what"
    " whatever when where which while who whom whose why will with within without would yes yet"
    " you your 's s t don didn doesn isn aren wasn weren".split()
)


def words(text: str) -> list[str]:
    """The words and numbers of a text as written, in order."""
    return _WORD.findall(text)


def numbers(text: str) -> set[str]:
    """The numbers written in digits, without thousands commas and leading zeros."""
    return {digits.replace(",", "").lstrip("0") for digits in _NUMBER.findall(text)}


def stem(word: str) -> str:
    """A word in lower case without its ending; at least three characters of it stay."""
    lower = word.lower().removesuffix("'s").removesuffix("’s")
    for suffix in _SUFFIXES:
        if lower.endswith(suffix) and len(lower) - len(suffix) >= 3 and not lower[0].isdigit():
            return lower.removesuffix(suffix)
    return lower


def is_content(word: str) -> bool:
    """Whether a word says what a question is about."""
    is_stop = word.lower() in _STOP and word != "May"
    return not is_stop and (len(word) > 1 or word.isdigit())


def stems(text: str) -> set[str]:
    """The stems of the content words of a text."""
    return {stem(word) for word in words(text) if is_content(word)}
