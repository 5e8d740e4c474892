"""Where sentences begin and end: rules over one pattern, fast enough for whole books, pure.

A blank line ends a sentence; so does a line end, except where a hard-wrapped line goes on in the
next one. Table rows and headings, which stand on lines of their own, are thus sentences.
"""

import re
from collections.abc import Iterator

_CANDIDATE = re.compile("[.!?…؟।。！？｡\n\f\v\u2028\u2029]")
# What may end a sentence there: closing marks in Latin and CJK scripts (with quotes, brackets and
# reference numbers such as [3] behind them), a blank line, a line end.
_MARK = re.compile(
    r"""(?P<stop>[.!?…؟।]+["'”’»)\]}*_]*(?:\[\d{1,3}\])*)(?=\s)"""
    r"""|(?P<cjk>[。！？｡]+[」』”’）〉》]*)"""
    r"""|(?P<blank>\n[ \t\f\v]*\n\s*)"""
    r"""|(?P<line>[\n\f\v\u2028\u2029]\s*)"""
)
_FIRST_WORD = re.compile(r"\S+")
_LAST_WORD = re.compile(r"\S+\Z")
_LIST_MARK = re.compile(r"(?:[-*•‣▪◦–—+]|\(?\d{1,3}[.)]|\(?[a-zA-Z][.)]|#{1,6}|[|>])\s")

# Never the end of a sentence.
_ABBREVIATIONS = frozenset(
    "mr mrs ms messrs dr prof rev hon st mt gen capt lt sgt maj adm cmdr gov e.g i.e cf viz vs resp"
    " approx ca eq eqs figs vols dept univ z.b d.h bzw u.a p.ej mme mlle sra nr".split()
)
# The end only if what follows looks like the start of a sentence.
_OFTEN_LAST = frozenset(
    "etc al inc ltd co corp jr sr bros plc ft u.s u.k u.n e.u d.c a.m p.m ph.d sen rep col".split()
)
_BEFORE_NUMBER = frozenset(
    "no nos p pp vol art sec sect fig ch chap para tab app ed ref refs"
    " jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_STARTERS = frozenset(
    "a an the this that these those it its he she they we you i in on at by for from to of as if"
    " when while where what why how who there here his her their our my your but and so yet however"
    " although after before since during no not all some many most each both such then thus".split()
)
_WRAP_MIN = 30  # a line shorter than this is not the inside of a wrapped paragraph


def sentence_spans(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences of `text`, in order, without white space at their ends.

    Every character that is not white space lies in exactly one span.
    """
    spans = []
    start = 0
    for end in _ends(text):
        span = trimmed(text, start, end)
        if span is not None:
            spans.append(span)
        start = end
    return spans


def trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space at its ends; None if nothing else is in it."""
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    return (start, end) if start < end else None


def _ends(text: str) -> Iterator[int]:
    """Offsets at which one sentence is over, ascending; the last is `len(text)`."""
    lines = _Lines(text)
    done = 0
    for candidate in _CANDIDATE.finditer(text):
        match = _MARK.match(text, candidate.start()) if candidate.start() >= done else None
        if match is None:
            continue
        done = match.end()
        kind = match.lastgroup
        if (
            kind == "cjk"
            or (kind == "stop" and _closes(text, match))
            or (kind == "line" and not lines.wraps(match.start(), match.end()))
            or (kind == "blank" and not lines.are_double_spaced(match.start(), match.end()))
        ):
            yield match.end()
    yield len(text)


def _closes(text: str, match: re.Match[str]) -> bool:
    """Whether the mark at `match`, which white space follows, ends its sentence."""
    mark_start, mark_end = match.span()
    following = _FIRST_WORD.search(text, mark_end)
    if following is None:
        return True
    next_word = following.group()
    if not _is_single_stop(match.group()):
        return not next_word[0].islower()
    before = _LAST_WORD.search(text, max(0, mark_start - 24), mark_start)
    if before is None:
        return mark_start > 0  # a full stop standing alone, as in tokenised text
    word = before.group().lstrip("\"'“‘«([{*_")
    if not _may_end(word, next_word):
        return False
    if "\n" in text[mark_end : following.start()]:
        return not _numbers_a_list(text, mark_start, word)
    return not next_word[0].islower() and not _numbers_a_list(text, mark_start, word)


def _is_single_stop(mark: str) -> bool:
    return mark.startswith(".") and not mark.startswith("..")


def _may_end(word: str, next_word: str) -> bool:
    """Whether `word` before a full stop can be the last of a sentence, given what follows."""
    lower = word.lower()
    if lower in _BEFORE_NUMBER and next_word[0].isdigit():
        return False
    if lower in _ABBREVIATIONS:
        return False
    starts = next_word.strip("\"'“”‘’([").lower() in _STARTERS
    if lower in _OFTEN_LAST:
        return starts
    if len(word) == 1 and word.isupper() and word != "I":  # an initial: J. Smith
        return starts
    return True


def _numbers_a_list(text: str, stop: int, word: str) -> bool:
    """Whether `word` numbers a list item or heading: "1." or "2.3." at the start of a line."""
    if not re.fullmatch(r"\d{1,3}(?:\.\d{1,3})*", word):
        return False
    line_start = text.rfind("\n", 0, stop) + 1
    return text[line_start : stop - len(word)].strip("-*•# \t") == ""


class _Lines:
    """Tells line ends inside a wrapped paragraph from those that end something."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._paragraph_end = 0
        self._width = 0  # longest line of the paragraph up to _paragraph_end

    def wraps(self, line_end: int, next_start: int) -> bool:
        """Whether the line ending at `line_end` goes on in the line that starts at `next_start`.

        It does if the next line's first word is in lower case or would not have fitted on it.
        """
        text = self._text
        line_start = text.rfind("\n", 0, line_end) + 1
        line = text[line_start:line_end].rstrip()
        first = _FIRST_WORD.search(text, next_start)
        if first is None or len(line) < _WRAP_MIN or _LIST_MARK.match(text, next_start):
            return False
        if line[-1] in ".:|" or line[0] == "|":
            return False
        if text[next_start].islower():
            return True
        return len(line) + 1 + len(first.group()) > self._widest(line_start)

    def are_double_spaced(self, line_end: int, next_start: int) -> bool:
        """Whether a wrapped line goes on below a blank line, in small letters."""
        text = self._text
        return (
            text.count("\n", line_end, next_start) == 2
            and text[next_start : next_start + 1].islower()
            and self.wraps(line_end, next_start)
        )

    def _widest(self, line_start: int) -> int:
        if line_start >= self._paragraph_end:
            end = self._text.find("\n\n", line_start)
            self._paragraph_end = len(self._text) if end < 0 else end
            paragraph = self._text[line_start : self._paragraph_end]
            self._width = max(len(line.rstrip()) for line in paragraph.split("\n"))
        return self._width
