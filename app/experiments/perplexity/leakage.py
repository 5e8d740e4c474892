"""Keeps the evaluated text itself out of what is retrieved for it."""

import re
from collections.abc import Callable, Collection

from retrieval.types import Passage

RUN = 8  # words in a row that two texts hardly share by chance
SHARE = 0.25  # of a passage's runs: a sentence or two of its hundred words

Runs = set[tuple[str, ...]]


class Guard:
    """Refuses passages of the evaluated document, however it was cut or laid out, and by title."""

    def __init__(self, text: str, digest: str, forbidden: Collection[str] = ()) -> None:
        """`digest` is the SHA-256 of the text's file, which is how an index knows documents."""
        self._runs = _runs(text)
        self._words = " ".join(_words(text))
        self._digest = digest
        self._forbidden = {plain_title(title) for title in forbidden} - {""}
        self._refused: dict[str, bool] = {}

    @property
    def refused(self) -> list[str]:
        """The ids of the passages that were refused so far."""
        return sorted(id for id, is_refused in self._refused.items() if is_refused)

    def refuses(self, passage: Passage, name_of: Callable[[str], str]) -> bool:
        """Whether the passage must not be retrieved; `name_of` gives a document's name by id."""
        if passage.id not in self._refused:
            titles = {plain_title(passage.title), plain_title(name_of(passage.document_id))}
            self._refused[passage.id] = (
                passage.document_id == self._digest
                or not titles.isdisjoint(self._forbidden)
                or self.is_own(passage.text)
            )
        return self._refused[passage.id]

    def is_own(self, passage: str) -> bool:
        """Whether at least a quarter of a passage's runs of 8 words stand in the evaluated text.

        A passage shorter than a run is the text's own where it stands in it whole.
        """
        runs = _runs(passage)
        if not runs:
            words = " ".join(_words(passage))
            return bool(words) and f" {words} " in f" {self._words} "
        return len(runs & self._runs) >= SHARE * len(runs)


def unquoted(title: str) -> str:
    """A title without the quotation marks that some corpora put around it."""
    title = title.strip()
    is_quoted = len(title) > 1 and title[0] == title[-1] == '"'
    return title[1:-1].strip() if is_quoted else title


def plain_title(title: str) -> str:
    """A title as it is compared: unquoted, single spaces, any case."""
    return " ".join(unquoted(title).split()).casefold()


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _runs(text: str) -> Runs:
    words = _words(text)
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
