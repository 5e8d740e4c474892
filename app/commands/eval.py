"""eval: figures for questions with known answers."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.eval_perplexity import perplexity
from retrieval.types import Mode

if TYPE_CHECKING:
    from retrieval.evaluate import Task
    from retrieval.index import Index

DEPTH = 100  # hits a question, enough for every measure


def register(app: typer.Typer) -> None:
    """Add the `eval` group."""
    group = typer.Typer(help="Measure on questions with known answers.", no_args_is_help=True)
    group.callback()(lambda: None)  # a group even while it has one command
    app.add_typer(group, name="eval")
    group.command()(retrieval)
    group.command()(perplexity)


def retrieval(
    data: Annotated[Path, typer.Argument(help="A BEIR folder or a SQuAD JSON file.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The run folder to write.")],
    mode: Annotated[Mode, typer.Option(help="Which retrievers answer.")] = Mode.HYBRID,
    encoder: Annotated[str | None, typer.Option(help="A folder or hub id; 'none'.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rank a corpus for each of its questions; writes run.trec and metrics.json, and the index."""
    from app.console import print_json, print_text, progress
    from retrieval.evaluate import ask_all, measure, read_task, write_run

    task = read_task(data)
    index = _index(task, out, encoder)
    try:
        with progress() as bar:
            asked = ask_all(index, task.queries, k=DEPTH, mode=mode)
            found = bar.track(asked, total=len(task.queries), description="searching")
            ranked = write_run(out / "run.trec", found)
        described = index.info()
    finally:
        index.close()
    metrics = {name: round(value, 2) for name, value in measure(task.qrels, ranked).items()}
    result = {"metrics": metrics, "data": str(data), "mode": mode.value, "index": described}
    (out / "metrics.json").write_text(json_format.dumps(result, indent=2) + "\n", "utf-8")
    if json:
        print_json(result)
    else:
        print_text("\n".join(f"{name:12} {value:6.2f}" for name, value in metrics.items()))


def _index(task: "Task", out: Path, encoder: str | None) -> "Index":
    """The index of the task's corpus in the run folder, made or completed if need be."""
    from app.console import progress
    from retrieval.encoder import load_encoder
    from retrieval.index import Index
    from retrieval.types import Extracted
    from retrieval.writer import IndexWriter

    loaded = None if encoder == "none" else load_encoder(encoder)
    with IndexWriter(out / "index", loaded) as writer, progress() as bar:
        encoding = bar.add_task("encoding", total=len(task.entries), visible=loaded is not None)
        for entry in task.entries:
            if not writer.has(entry.id):
                extracted = Extracted(entry.title, entry.text, (), "text/plain")
                writer.add(entry.id, entry.id, extracted, whole=True)
        writer.commit(lambda done, total: bar.update(encoding, completed=done, total=total))
    return Index.open(out / "index", loaded)
