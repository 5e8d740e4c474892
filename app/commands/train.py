"""train: make the small models from data on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jamba.training_state import Point

RECIPE = Path(__file__).parents[1] / "checkpoints" / "sample-jamba" / "recipe.json"


def register(app: typer.Typer) -> None:
    """Add the group `train`."""
    group = typer.Typer(
        help="Train the small models that Orbweaver runs without a network.", no_args_is_help=True
    )
    group.command("lm")(lm)
    app.add_typer(group, name="train")


def lm(  # noqa: PLR0913 - one argument for each option
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    data: Annotated[Path, typer.Option(help="The folder that holds the recipe's files.")],
    recipe: Annotated[
        Path,
        typer.Option(help="What to train on and how, as JSON.", show_default="the sample model's"),
    ] = RECIPE,
    splits: Annotated[
        Path, typer.Option(help="Which articles may be trained on (a checkout has it).")
    ] = Path("benchmarks/splits.json"),
    minutes: Annotated[
        float | None,
        typer.Option(min=0.01, help="How long to train.", show_default="the recipe's"),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Stop after so many updates, if earlier.", show_default="no limit"
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train a Jamba language model from scratch: tokenizer, weights, chat template, curve.

    Reads plain text and SQuAD questions, and teaches the layout of passages, questions and answers
    in which the application asks. OUT is then a folder that --model takes and transformers loads.

    The state is saved every few minutes. After an interruption the same command with --resume makes
    the same updates as a run that was never stopped. When done, OUT/training.safetensors may go.
    """
    from dataclasses import replace

    from app import lm_training
    from app.console import print_json, print_text, progress, say

    lm_training.use_threads(threads)
    chosen = lm_training.read_recipe(recipe)
    ends = {name: value for name, value in (("minutes", minutes), ("steps", steps)) if value}
    chosen = replace(chosen, training={**chosen.training, **ends})
    sources = lm_training.read_sources(chosen, data, splits)
    with progress() as bar:
        task = bar.add_task("training", total=None)

        def report(point: "Point", done: float) -> None:
            if done:
                bar.update(task, completed=point.step, total=round(point.step / done))
            if point.held_out is not None:
                say(lm_training.describe(point))

        try:
            measured = lm_training.run(chosen, sources, out, resume=resume, say=say, report=report)
        except KeyboardInterrupt:
            say("stopped; the same command with --resume goes on from the last saved state")
            raise
    if as_json:
        print_json(measured.to_dict())
    else:
        print_text(f"{out}: {lm_training.summary(measured)}")
