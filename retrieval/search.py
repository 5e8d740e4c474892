"""How questions are answered with passages: which retrievers, which fusion, ranked again or not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.fusion import DEFAULT, Fusion
from retrieval.rerank import Reranker, rerank
from retrieval.types import Hit, Mode

if TYPE_CHECKING:
    from retrieval.index import Index


@dataclass(frozen=True, slots=True)
class Search:
    """One way to search; `k` hits a question."""

    k: int = 10
    mode: Mode = Mode.HYBRID
    fusion: Fusion = DEFAULT
    reranker: Reranker | None = None

    def find(self, index: "Index", questions: Sequence[str]) -> list[list[Hit]]:
        """The hits of each question, best first."""
        again = self.reranker
        k = self.k if again is None else max(self.k, again.depth)
        found = index.search_many(questions, k=k, mode=self.mode, fusion=self.fusion)
        if again is not None:
            found = [
                rerank(
                    question,
                    hits,
                    index.passages([h.passage_id for h in hits[: again.depth]]),
                    again,
                )
                for question, hits in zip(questions, found, strict=True)
            ]
        return [hits[: self.k] for hits in found]

    def settings(self) -> dict[str, Any]:
        """All that decides which hits come in which order, besides the index."""
        return {
            "k": self.k,
            "mode": self.mode.value,
            "fusion": str(self.fusion) if self.mode is Mode.HYBRID else None,
            "rerank": self.reranker.settings() if self.reranker else None,
        }
