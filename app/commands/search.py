"""search: one question, or a file of queries with a TREC run as its result."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.commands.search_options import (
    DepthOption,
    FusionOption,
    ModeOption,
    RerankOption,
    WeightOption,
    make_search,
)
from retrieval.types import Hit, Mode

if TYPE_CHECKING:
    from retrieval.index import Index
    from retrieval.search import Search

SHOWN_CHARACTERS = 240


def register(app: typer.Typer) -> None:
    """Add `search`."""
    app.command()(search)


def search(  # noqa: PLR0913 - one argument for each option
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="An index folder.")],
    question: Annotated[str | None, typer.Argument(help="What you want to find.")] = None,
    mode: ModeOption = Mode.HYBRID,
    k: Annotated[int, typer.Option(min=1, help="How many passages.")] = 10,
    queries: Annotated[Path | None, typer.Option(help="Queries, BEIR JSON lines.")] = None,
    run: Annotated[Path | None, typer.Option(help="The TREC run to write for --queries.")] = None,
    encoder: Annotated[str | None, typer.Option(help="Where the index's encoder is.")] = None,
    fusion: FusionOption = "convex",
    rerank: RerankOption = None,
    rerank_weight: WeightOption = None,
    rerank_depth: DepthOption = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Search on the Ray cluster there (an extra)."),
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="How many search, with --ray.")] = 2,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find the passages of an index that answer a question best."""
    if (question is None) == (queries is None) or (queries is None) != (run is None):
        raise typer.BadParameter("give a QUESTION, or --queries FILE with --run FILE")
    asked = make_search(
        k=k, mode=mode, fusion=fusion, rerank=rerank, weight=rerank_weight, depth=rerank_depth
    )
    with _opened(folder, encoder, ray, processes) as index:
        if question is not None:
            _one(index, question, asked.find(index, [question])[0], json)
        elif queries and run:
            _many(index, queries, run, asked, json)


@contextmanager
def _opened(
    folder: Path, encoder: str | None, ray: str | None, processes: int
) -> Iterator["Index"]:
    """The index, searched in this process or by processes of a Ray cluster."""
    from retrieval.encoders.encoder import load_encoder
    from retrieval.index import Index

    loaded = load_encoder(encoder) if encoder else None
    if ray is None:
        with closing(Index.open(folder, loaded)) as index:
            yield index
        return
    from retrieval.cluster.connection import connected
    from retrieval.cluster.serving import served

    with connected(ray) as cluster, served(cluster, folder, processes, loaded) as index:
        yield index


def _one(index: "Index", question: str, hits: Sequence[Hit], json: bool) -> None:
    from app.console import print_json, print_text, say
    from app.ui.escape import visible

    found = [_described(index, hit) for hit in hits]
    if json:
        print_json({"question": question, "hits": found})
        return
    if not found:
        say("nothing found")
    for rank, hit in enumerate(found, start=1):
        page = f", page {hit['page']}" if hit["page"] else ""
        scores = " ".join(f"{name} {part['score']:.3f}" for name, part in hit["parts"].items())
        print_text(f"{rank}. {visible(hit['document'])}{page}  {hit['score']:.3f} ({scores})")
        print_text(f"   {visible(_shortened(hit['text']))}")


def _described(index: "Index", hit: Hit) -> dict[str, Any]:
    passage = index.passages([hit.passage_id])[0]
    return {
        "passage_id": hit.passage_id,
        "document": index.document(passage.document_id).name,
        "document_id": passage.document_id,
        "title": passage.title,
        "page": passage.page,
        "start": passage.start,
        "end": passage.end,
        "score": hit.score,
        "parts": {name: {"score": p.score, "rank": p.rank} for name, p in hit.parts.items()},
        "text": passage.text,
    }


def _many(index: "Index", queries: Path, run: Path, search: "Search", json: bool) -> None:
    from app.console import print_json, progress, say
    from retrieval.evaluation.evaluate import ask_all, read_queries, write_run

    asked = read_queries(queries)
    with progress() as bar:
        found = bar.track(ask_all(index, asked, search), total=len(asked), description="searching")
        write_run(run, found)
    if json:
        print_json({"queries": len(asked), "run": str(run)})
    say(f"wrote the hits of {len(asked)} queries to {run}")


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"
