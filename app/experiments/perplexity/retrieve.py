"""Passages for each stride: the query is the last tokens before it (In-Context RALM, section 3)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from app.experiments.errors import ExperimentError
from app.experiments.perplexity.leakage import Guard, unquoted
from app.experiments.perplexity.retrieval_file import Candidate, Retrieved
from app.experiments.perplexity.strides import Stride
from app.experiments.run_folder import digest_of
from retrieval.index import Index
from retrieval.types import Hit, Mode, Passage

BATCH = 256  # queries searched together
SPARE = 4  # times as many hits are asked for as passages, since some may be refused

Decode = Callable[[Sequence[int]], str]


@dataclass(frozen=True, slots=True)
class Search:
    """How passages are looked for: so many for each stride, by a query of so many tokens."""

    mode: Mode
    passages: int
    query_tokens: int


def open_index(folder: Path, mode: Mode) -> Index:
    """An index with the encoder it names, loaded now where `mode` needs one.

    Raises ExperimentError where it has no vectors, which hybrid would quietly do without, and
    RetrievalError where the encoder is another one than it was built with.
    """
    index = Index.open(folder)
    try:
        if mode is not Mode.BM25:
            if index.info()["encoder"] is None:
                raise ExperimentError(f"{folder} has no vectors: search it with --retriever bm25")
            _ = index.encoder
    except BaseException:
        index.close()
        raise
    return index


def index_digest(folder: Path) -> str:
    """SHA-256 of an index's passages and vectors."""
    return digest_of(path for name in ("passages.db", "dense/*") for path in folder.glob(name))


def retrieve(
    index: Index,
    ids: Sequence[int],
    strides: Sequence[Stride],
    decode: Decode,
    search: Search,
    guard: Guard,
) -> Iterator[Retrieved]:
    """What is found for each stride, in order; nothing before the text's first token."""
    finder = _Finder(index, search, guard)
    for first in range(0, len(strides), BATCH):
        batch = strides[first : first + BATCH]
        queries = [decode(ids[max(0, s.begin - search.query_tokens) : s.begin]) for s in batch]
        found = finder.find(queries)
        for stride, query, candidates in zip(batch, queries, found, strict=True):
            future = decode(ids[stride.begin : stride.end])
            yield Retrieved(stride.begin, stride.end, future, query, candidates)


class _Finder:
    """Searches an index for queries, without what the guard refuses."""

    def __init__(self, index: Index, search: Search, guard: Guard) -> None:
        self._index, self._search, self._guard = index, search, guard
        self._passages: dict[str, Passage] = {}  # one text for all the strides that found it
        self._name = lru_cache(maxsize=None)(lambda id: index.document(id).name)

    def find(self, queries: Sequence[str]) -> list[tuple[Candidate, ...]]:
        """The allowed passages of each query, best first; none for a query without a word."""
        found: dict[int, tuple[Candidate, ...]] = {
            number: () for number, query in enumerate(queries) if not query.strip()
        }
        depth = SPARE * self._search.passages
        while open_ := [number for number in range(len(queries)) if number not in found]:
            asked = [queries[number] for number in open_]
            results = self._index.search_many(asked, k=depth, mode=self._search.mode)
            for number, hits in zip(open_, results, strict=True):
                allowed = self._allowed(hits)
                if len(allowed) >= self._search.passages or len(hits) < depth:
                    found[number] = allowed[: self._search.passages]
            depth *= SPARE
        return [found[number] for number in range(len(queries))]

    def _allowed(self, hits: Sequence[Hit]) -> tuple[Candidate, ...]:
        new = [hit.passage_id for hit in hits if hit.passage_id not in self._passages]
        self._passages |= {passage.id: passage for passage in self._index.passages(new)}
        allowed = []
        for hit in hits:
            passage = self._passages[hit.passage_id]
            if not self._guard.refuses(passage, self._name):
                title = unquoted(passage.title)
                allowed.append(Candidate(passage.id, title, passage.text, hit.score))
        return tuple(allowed)
