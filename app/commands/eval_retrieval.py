"""eval retrieval: how good the rankings are."""

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
from retrieval.types import Mode

if TYPE_CHECKING:
    from rich.progress import Progress

    from app.experiments.retrieval.run import Report

K = 100  # hits a question, enough for every measure


def retrieval(  # noqa: PLR0913 - one argument for each option
    data: Annotated[
        Path,
        typer.Argument(
            help="A BEIR folder, SQuAD or DPR JSON, or queries (.jsonl, or id TAB text)."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The run folder to write.", show_default="below runs/"),
    ] = None,
    mode: ModeOption = Mode.HYBRID,
    encoder: Annotated[str | None, typer.Option(help="A folder or hub id; 'none'.")] = None,
    index: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Ask this index.", show_default="made of DATA's corpus"),
    ] = None,
    corpus: Annotated[
        Path | None, typer.Option(help="Documents for DATA that has none: corpus.jsonl, DPR's TSV.")
    ] = None,
    qrels: Annotated[
        Path | None, typer.Option(help="Judgements, TREC's four columns or BEIR's three.")
    ] = None,
    split: Annotated[str, typer.Option(help="Which qrels of a BEIR folder.")] = "test",
    k: Annotated[int, typer.Option(min=1, help="Hits a question.")] = K,
    fusion: FusionOption = "convex",
    rerank: RerankOption = None,
    rerank_weight: WeightOption = None,
    rerank_depth: DepthOption = None,
    dpr_depth: Annotated[
        int, typer.Option(min=0, help="Passages a question in results.dpr.json; 0: no file.")
    ] = 20,
    timed: Annotated[
        int, typer.Option(min=0, help="Questions asked one at a time for the latency.")
    ] = 50,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a corpus's first bad line.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rank a corpus for each of its questions; writes a run folder.

    It holds settings with digests, run.trec, results.dpr.json, figures in all and of each question,
    timings, and pictures of recall and latency. R@K counts judged documents; AnswerString@K counts
    texts that hold an answer's words, judged or not.
    """
    from app.console import print_json, print_text, progress, say
    from app.experiments.retrieval.run import Request, run

    search = make_search(
        k=k, mode=mode, fusion=fusion, rerank=rerank, weight=rerank_weight, depth=rerank_depth
    )
    request = Request(data, search, encoder, index, qrels, corpus, split, strict, dpr_depth, timed)
    with progress() as bars:
        try:
            result = run(request, out, resume=resume, report=_reporter(bars), say=say)
        except KeyboardInterrupt:
            say("stopped; the same command with --resume goes on from there")
            raise
    if json:
        print_json(result)
    else:
        print_text(_shown(result))


def _reporter(bars: "Progress") -> "Report":
    """A bar a stage, made when the stage begins."""
    tasks: dict[str, Any] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage)
        bars.update(tasks[stage], completed=done, total=total)

    return report


def _shown(result: dict[str, Any]) -> str:
    """The figures for a person, judged ones and answer strings apart."""
    questions, lines = result["questions"], []
    for title, key, count in (
        ("judged documents", "metrics", "judged"),
        ("an answer's words in the text, judged or not", "answer_metrics", "with_answers"),
    ):
        if result[key]:
            lines.append(f"{title}, {questions[count]} questions, percent")
            lines += [f"  {name:18} {value:6.2f}" for name, value in result[key].items()]
    return "\n".join([*lines, f"run folder: {result['run']}"])
