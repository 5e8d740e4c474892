"""eval qa: how well a model answers, after so many passages."""

from pathlib import Path
from typing import Annotated, Any

import typer

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
    mode: Annotated[QaMode, typer.Option(help="What stands before a question.")] = QaMode.PASSAGES,
    prompt: Annotated[
        Prompt | None,
        typer.Option(help="In which words.", show_default="the one the model knows best"),
    ] = None,
    retriever: Annotated[Mode, typer.Option(help="Which retrievers search.")] = Mode.HYBRID,
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
    from app.console import print_json, print_text, progress
    from app.experiments.models.open_answerer import open_answerer
    from app.experiments.qa.run import Request, run

    request = Request(
        data,
        index,
        _numbers(docs),
        mode,
        prompt,
        retriever,
        limit,
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


def _numbers(docs: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(number) for number in docs.split(",")))
    except ValueError:
        raise typer.BadParameter(
            f"{docs!r} is no list of numbers such as 0,1,4", param_hint="--docs"
        ) from None
    return numbers


def _table(metrics: dict[str, Any], folder: Path) -> str:
    named = ("docs", "EM", "F1", "in context", "cut", "cached", "seconds")
    lines = ["".join(f"{name:>12}" for name in named)]
    for docs, found in metrics["by_docs"].items():
        cached = found["cached_tokens"] / max(1, found["prompt_tokens"])
        in_context = found["answer_in_context"]
        lines.append(
            f"{docs if metrics['mode'] == 'passages' else metrics['mode']:>12}"
            f"{found['em']:12.1f}{found['f1']:12.1f}"
            f"{'none' if in_context is None else f'{in_context:.1f}':>12}"
            f"{found['prompts_cut']:12}{cached:12.0%}{found['seconds']['median']:12.2f}"
        )
    low, high = metrics["intervals"]["f1"]
    lines.append(f"F1 of the last line, 95 % interval: {low:.1f} to {high:.1f}")
    return "\n".join([*lines, f"{folder}: {metrics['questions']} questions, {metrics['prompt']}"])
