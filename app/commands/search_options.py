"""Options that every command that searches has, and the search they make."""

from typing import TYPE_CHECKING, Annotated

import typer

from retrieval.types import Mode

if TYPE_CHECKING:
    from retrieval.search import Search

ModeOption = Annotated[Mode, typer.Option("--mode", help="Which retrievers answer.")]
FusionOption = Annotated[
    str, typer.Option("--fusion", help="How hybrid fuses: convex:SHARE, rrf:N or sum:LAMBDA.")
]
RerankOption = Annotated[
    str | None,
    typer.Option(
        "--rerank",
        help="Read the best hits again: 'reader', or a cross-encoder's folder or hub id.",
        show_default="no",
    ),
]
WeightOption = Annotated[
    float | None,
    typer.Option(
        "--rerank-weight", min=0, help="Of the second score.", show_default="the kind's own"
    ),
]
DepthOption = Annotated[
    int | None, typer.Option("--rerank-depth", min=1, help="Hits read again.", show_default="20")
]


def make_search(
    *,
    k: int,
    mode: Mode,
    fusion: str,
    rerank: str | None,
    weight: float | None,
    depth: int | None,
) -> "Search":
    """The search these options mean; raises RetrievalError or OrbweaverError for a wrong one."""
    from app.answering.rerankers import open_reranker
    from retrieval.fusion import parse_fusion
    from retrieval.search import Search

    return Search(k, mode, parse_fusion(fusion), open_reranker(rerank, weight, depth))
