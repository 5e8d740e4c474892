"""train reranker: a cross-encoder for `--rerank`, from questions and an index."""

from pathlib import Path
from typing import Annotated, Any

import typer


def reranker(
    index: Annotated[Path, typer.Option(metavar="DIR", help="Where wrong passages come from.")],
    questions: Annotated[
        Path, typer.Option(help="A SQuAD or DPR JSON file, or a BEIR folder with its judgements.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The model folder to make.")],
    base: Annotated[
        str | None,
        typer.Option(
            help="An encoder or cross-encoder: a folder or hub id.", show_default="packaged MiniLM"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Which qrels of a BEIR folder.")] = "train",
    steps: Annotated[int, typer.Option(min=1, help="Updates of eight questions each.")] = 500,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train a model that reads question and passage together and ranks the best hits again.

    Each question is shown with a right passage and one of BM25's best wrong ones. One question in
    ten is held out. A stopped run goes on with the same command.
    """
    from dataclasses import asdict

    from app.console import print_json, print_text, progress
    from app.training.lm_training import use_threads
    from app.training.reranker_training import Request, train
    from retrieval.training.rerank_train import RerankerTraining

    use_threads(threads)
    request = Request(index, questions, split, base, RerankerTraining(steps=steps))
    with progress() as bars:
        tasks: dict[str, Any] = {}

        def hear(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            bars.update(tasks[stage], completed=done, total=total)

        scores = train(request, out, hear)
    if as_json:
        print_json(asdict(scores))
    else:
        print_text(
            f"{out}: of {scores.held_out} held-out questions {scores.right_first:.1f} % have the "
            f"right passage first, {scores.right_first_before:.1f} % before training"
        )
