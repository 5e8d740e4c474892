"""eval perplexity: what retrieved passages are worth to a language model on a text."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.experiments.perplexity.strides import Layout, Ranking, Setup
from retrieval.types import Mode

if TYPE_CHECKING:
    from app.experiments.perplexity.run import Request


def perplexity(  # noqa: PLR0913 - one argument for each option
    text: Annotated[Path, typer.Option(help="The text to evaluate, UTF-8.")],
    index: Annotated[Path | None, typer.Option(help="The index passages come from.")] = None,
    retrieved: Annotated[
        Path | None,
        typer.Option(help="A retrieval file instead, as the paper's script writes it."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A folder, a hub id or a server's URL.", show_default="the bundled model"
        ),
    ] = None,
    tokenizer: Annotated[
        Path | None, typer.Option(help="The folder of a server's model's tokenizer.")
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="Passage in place of the window's start, or before it.")
    ] = Layout.PAPER,
    stride: Annotated[int, typer.Option(min=1, help="Tokens between retrievals.")] = 4,
    query_tokens: Annotated[int, typer.Option(min=1, help="Last tokens that are searched.")] = 32,
    window: Annotated[int, typer.Option(min=2, help="Tokens the model reads of the text.")] = 1024,
    doc_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a passage at most.")] = 256,
    step: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Prepend: tokens by which the window moves at once.",
            show_default="half the window",
        ),
    ] = None,
    retriever: Annotated[Mode, typer.Option(help="Which retrievers search.")] = Mode.BM25,
    ranking: Annotated[
        Ranking, typer.Option(help="Which of the passages found is read.")
    ] = Ranking.FIRST,
    candidates: Annotated[int, typer.Option(min=1, help="Passages to choose from.")] = 16,
    rank_tokens: Annotated[int, typer.Option(min=1, help="Prefix tokens that 'lm' scores.")] = 16,
    reranker: Annotated[
        Path | None, typer.Option(help="For 'predictive': a folder of train predictive.")
    ] = None,
    forbidden: Annotated[
        Path | None, typer.Option(help="Titles never to retrieve from, one a line.")
    ] = None,
    max_tokens: Annotated[int | None, typer.Option(min=2, help="Only the text's first.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="For 'random'.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="a new one below runs")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Perplexity of a text with retrieved passages and without, in one run.

    Follows In-Context RALM (arXiv 2302.00083); docs/experiments.md says where and why it departs
    from the paper's script. Nothing is retrieved from the text itself.
    """
    from app.console import print_json, print_text, progress, say
    from app.experiments.models.open_scorer import open_scorer
    from app.experiments.perplexity.run import Request, run

    setup = Setup(
        layout, stride, window, doc_tokens, query_tokens, rank_tokens, step or max(1, window // 2)
    )
    request = Request(
        text,
        index,
        retrieved,
        setup,
        retriever,
        ranking,
        candidates,
        forbidden,
        max_tokens,
        seed,
        reranker,
    )
    scorer = open_scorer(model, tokenizer)
    try:
        with progress() as bar:
            tasks: dict[str, Any] = {}

            def track(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done)

            folder, metrics = run(scorer, request, out, resume=resume, track=track)
    finally:
        scorer.close()
    if metrics["passages"]["suspect"]:
        say(f"warning: {metrics['passages']['suspect']} passages look like the text's own words")
    if json:
        print_json({**metrics, "run": str(folder)})
    else:
        print_text(_table(metrics, request, folder))


def _table(metrics: dict[str, Any], request: "Request", folder: Path) -> str:
    bare = metrics["without_retrieval"]
    lines = [
        f"{'':12}{'retrieved':>12}{'without':>12}",
        *(
            f"{'a ' + unit:12}{_number(metrics[name]):>12}{_number(bare[name]):>12}"
            for unit, name in (("word", "word_perplexity"), ("token", "token_perplexity"))
        ),
    ]
    low, high = metrics["intervals"]["ratio"]
    lines.append(f"ratio a token, 95 % interval: {low:.3f} to {high:.3f}")
    if metrics["strides_without_passage"]:
        lines.append(
            f"{metrics['strides_without_passage']} of {metrics['strides']} strides had no passage"
        )
    return "\n".join([*lines, f"{folder}: {request.ranking}, {request.setup.layout}"])


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"
