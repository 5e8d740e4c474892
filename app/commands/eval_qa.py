"""eval qa: how well a model answers, after so many passages."""

from pathlib import Path
from typing import Annotated, Any

import typer

from app.answering.drafts import TEMPERATURE
from app.commands.search_options import DepthOption, RerankOption, WeightOption
from app.experiments.qa.prompt import Prompt, QaMode
from retrieval.types import Mode


def qa(  # noqa: PLR0913 - one argument for each option
    data: Annotated[
        Path, typer.Option(help="Questions: SQuAD, DPR or NQ-open, as JSON or JSON lines.")
    ],
    index: Annotated[
        Path | None,
        typer.Option(help="The index that is searched.", show_default="the file's passages"),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="A folder, a hub id or a server's URL.", show_default="the bundled model"
        ),
    ] = None,
    docs: Annotated[str, typer.Option(help="Numbers of passages; 0: none.")] = "0,1,2,4,8",
    budget: Annotated[
        str | None,
        typer.Option(help="Sizes of prompts, in tokens, to fill with passages: 512,2048."),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="For --budget: passages to fill it from, the best first.")
    ] = 100,
    mode: Annotated[QaMode, typer.Option(help="What stands before a question.")] = QaMode.PASSAGES,
    prompt: Annotated[
        Prompt | None,
        typer.Option(help="In which words.", show_default="the one the model knows best"),
    ] = None,
    retriever: Annotated[Mode, typer.Option(help="Which retrievers search.")] = Mode.HYBRID,
    rerank: RerankOption = None,
    rerank_weight: WeightOption = None,
    rerank_depth: DepthOption = None,
    recursive: Annotated[
        int | None,
        typer.Option(min=2, help="Drafts of each answer, compared by the model where they differ."),
    ] = None,
    temperature: Annotated[
        float, typer.Option(min=0.01, help="Of the drafts but the first.")
    ] = TEMPERATURE,
    seed: Annotated[int, typer.Option(min=0, help="Of the drafts.")] = 0,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many questions, spread over the file.")
    ] = None,
    answer_tokens: Annotated[int, typer.Option(min=1, help="The longest answer.")] = 32,
    prompt_tokens: Annotated[
        int, typer.Option(min=64, help="For a server: the longest prompt.")
    ] = 4096,
    out: Annotated[
        Path | None, typer.Option(help="The run folder.", show_default="a new one below runs")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Exact match and F1, as the SQuAD script counts them, of answers after retrieved passages.

    No passage is the closed book; --mode gold gives the passage that each question was asked of.
    """
    from app.answering.rerankers import open_reranker
    from app.console import print_json, print_text, progress
    from app.experiments.models.open_answerer import open_answerer
    from app.experiments.qa.recursive import Drafts
    from app.experiments.qa.run import Request, run

    request = Request(
        data,
        index,
        _numbers(docs, "--docs"),
        () if budget is None else _numbers(budget, "--budget"),
        candidates,
        mode,
        prompt,
        retriever,
        open_reranker(rerank, rerank_weight, rerank_depth),
        limit,
        None if recursive is None else Drafts(recursive, temperature, seed),
    )
    answerer = open_answerer(model, answer_tokens=answer_tokens, prompt_tokens=prompt_tokens)
    try:
        with progress() as bar:
            task = bar.add_task("asking", total=None)
            folder, metrics = run(
                answerer,
                request,
                out,
                resume=resume,
                track=lambda what, done, total: bar.update(task, completed=done, total=total),
            )
    finally:
        answerer.close()
    if json:
        print_json({**metrics, "run": str(folder)})
    else:
        print_text(_table(metrics, folder))


def _numbers(listed: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in listed.split(",")))
    except ValueError:
        raise typer.BadParameter(
            f"{listed!r} is no list of numbers such as 0,1,4", param_hint=option
        ) from None
    return numbers


def _table(metrics: dict[str, Any], folder: Path) -> str:
    named = ("docs", "EM", "F1", "in context", "read", "cut", "tokens", "cached", "seconds")
    lines = ["".join(f"{name:>12}" for name in named)]
    conditions = {
        **{
            docs if metrics["mode"] == "passages" else metrics["mode"]: found
            for docs, found in metrics["by_docs"].items()
        },
        **{f"{budget} tokens": found for budget, found in metrics["by_budget"].items()},
    }
    lines += [_line(name, found) for name, found in conditions.items()]
    lines += [
        _gained(name, found["recursive"], found["questions"])
        for name, found in conditions.items()
        if found["recursive"]
    ]
    low, high = metrics["intervals"]["f1"]
    lines.append(f"F1 after the most passages, 95 % interval: {low:.1f} to {high:.1f}")
    return "\n".join([*lines, f"{folder}: {metrics['questions']} questions, {metrics['prompt']}"])


def _line(name: str, found: dict[str, Any]) -> str:
    cached = found["cached_tokens"] / max(1, found["prompt_tokens"])
    in_context = found["answer_in_context"]
    return (
        f"{name:>12}{found['em']:12.1f}{found['f1']:12.1f}"
        f"{'none' if in_context is None else f'{in_context:.1f}':>12}"
        f"{found['passages_read']:12.1f}{found['prompts_cut']:12}"
        f"{found['prompt_tokens'] / found['questions']:12.0f}{cached:12.0%}"
        f"{found['seconds']['median']:12.2f}"
    )


def _gained(name: str, second: dict[str, Any], questions: int) -> str:
    """What comparing drafts was worth after one number of passages, and what it cost."""
    f1, extra = second["f1"], second["extra"]
    read = (extra["prompt_tokens"] - extra["cached_tokens"]) / questions
    return (
        f"{name:>12}: drafts differed for {second['differed']:.0f} % of questions; comparing them "
        f"made F1 {f1['gain']:+.1f} ({f1['low']:+.1f} to {f1['high']:+.1f}), for "
        f"{read:.0f} tokens read, {extra['written_tokens'] / questions:.0f} written and "
        f"{extra['seconds'] / questions:.2f} seconds more a question"
    )
