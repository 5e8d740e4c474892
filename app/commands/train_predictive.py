"""train predictive: learn which passage helps a language model to go on."""

from pathlib import Path
from typing import Annotated

import typer


def predictive(
    out: Annotated[Path, typer.Option(help="The reranker folder to make, or to go on with.")],
    run: Annotated[
        list[Path],
        typer.Option(help="A finished run of eval perplexity --ranking oracle; may be repeated."),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            help="The encoder to start from: a folder or hub id.", show_default="packaged MiniLM"
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 10_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Strides an update.")] = 32,
    learning_rate: Annotated[float, typer.Option(min=0.0, help="At the start.")] = 1e-5,
    seed: Annotated[int, typer.Option(min=0, help="Of the order and the new layer.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train In-Context RALM's predictive reranker, for eval perplexity --ranking predictive.

    The language model stays as it is: its losses under each passage are those of the runs. The last
    tenth of each run is held out. Interrupted, the same command goes on. The defaults are the
    paper's; fewer --steps and a smaller --batch-size suit a CPU.
    """
    from app.console import print_json, print_text, progress
    from app.experiments.perplexity.predictive_training import Training, train
    from retrieval.encoders.encoder import load_encoder

    start = load_encoder().folder if base is None else base
    settings = Training(steps, batch_size, learning_rate, seed)
    with progress() as bar:
        task = bar.add_task("training", total=steps)
        reached = train(
            run,
            start,
            out,
            settings,
            lambda step, steps, loss: bar.update(task, completed=step, total=steps),
        )
    if json:
        print_json(reached)
    else:
        print_text(
            f"{out}: {reached['strides']} held-out strides, mean loss {reached['first']:.3f} with "
            f"the retriever's first passage, {reached['reranked']:.3f} with the reranker's, "
            f"{reached['oracle']:.3f} with the best"
        )
