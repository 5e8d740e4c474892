"""An index's passages in the groups that spans are mined in: documents, articles, neighbourhoods.

Spider mines within an article. Here that is a document; consecutive corpus entries of one title,
which is how DPR's Wikipedia comes; or, where a document has too few passages, its neighbourhood:
the passages that BM25 finds for it. Neighbourhoods are a departure from the paper.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice

from retrieval.records import Placed, Scored, titled
from retrieval.storage.store import Store

SMALLEST = 3  # two passages with a span and one without
LARGEST = 1_000  # a longer document is mined in parts, so that memory stays flat
NEIGHBOURS = 20  # a passage and the 19 nearest to it
QUERY_WORDS = 64  # of a passage are searched for; more cost time and change little
PIECE = 1_000  # passages read at a time

Search = Callable[[str, int], list[Scored]]


@dataclass(frozen=True, slots=True)
class Group:
    """Passages mined together, and the last row that is done with once this group is.

    Of a neighbourhood only spans of its first passage count: those of the others are found in
    their own neighbourhoods.
    """

    rows: tuple[int, ...]
    texts: tuple[str, ...]
    through: int
    neighbourhood: bool = False


def mining_groups(store: Store, search: Search, after: int = 0) -> Iterator[Group]:
    """The groups of all passages with rows above `after`, in order, one in memory at a time."""
    for _, placed in groupby(_all_placed(store, after), key=_article):
        while part := list(islice(placed, LARGEST)):
            if len(part) >= SMALLEST:
                rows, texts = zip(*((p.row, p.text) for p in part), strict=True)
                yield Group(rows, texts, part[-1].row)
            else:
                yield from (_neighbourhood(store, search, passage) for passage in part)


def _all_placed(store: Store, after: int) -> Iterator[Placed]:
    while piece := store.placed_after(after, PIECE):
        yield from piece
        after = piece[-1].row


def _article(passage: Placed) -> tuple[str, str]:
    """What consecutive passages of one group have in common."""
    if passage.siblings == 1 and passage.title:
        return "title", passage.title
    return "document", passage.document_id


def _neighbourhood(store: Store, search: Search, passage: Placed) -> Group:
    words = titled(passage.title, passage.text).split()[:QUERY_WORDS]
    found = [hit.passage_id for hit in search(" ".join(words), NEIGHBOURS)]
    numbers = store.rows_of_ids(found)
    others = [row for id in found if (row := numbers.get(id)) not in (None, passage.row)]
    rows = (passage.row, *(row for row in others if row is not None))[:NEIGHBOURS]
    stored = store.passages_by_row(rows)
    texts = tuple(stored[row].text for row in rows)
    return Group(rows, texts, passage.row, neighbourhood=True)
