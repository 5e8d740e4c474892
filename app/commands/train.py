"""train: make the small models from data on this machine."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands import train_encoder
from app.commands.train_predictive import predictive
from app.commands.train_reranker import reranker
from app.training.example_plan import Kind

if TYPE_CHECKING:
    from jamba.training.training_state import Point

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
RECIPE = CHECKPOINTS / "small-jamba" / "recipe.json"
READER_RECIPE = CHECKPOINTS / "reader" / "recipe.json"
SPLITS = Path("benchmarks/splits.json")


def register(app: typer.Typer) -> None:
    """Add the group `train`."""
    group = typer.Typer(
        help="Train the small models that Orbweaver runs without a network.", no_args_is_help=True
    )
    group.command("lm")(lm)
    group.command("reader")(reader)
    group.command("predictive")(predictive)
    group.command("reranker")(reranker)
    train_encoder.register(group)
    app.add_typer(group, name="train")


def lm(  # noqa: PLR0913 - one argument for each option
    out: Annotated[Path, typer.Option(help="The model folder to make.")],
    data: Annotated[Path, typer.Option(help="The folder that holds the recipe's files.")],
    recipe: Annotated[
        Path,
        typer.Option(help="What to train on and how, as JSON.", show_default="the bundled model's"),
    ] = RECIPE,
    start: Annotated[
        Path | None,
        typer.Option(
            metavar="MODEL",
            help="A model folder of the recipe's shape: begin with its weights and tokenizer.",
            show_default="from scratch",
        ),
    ] = None,
    splits: Annotated[
        Path, typer.Option(help="Which articles may be trained on (a checkout has it).")
    ] = SPLITS,
    texts: Annotated[
        Path | None,
        typer.Option(
            help="Where text out of packages is kept, downloaded if it is not there.",
            show_default="the cache folder",
        ),
    ] = None,
    examples: Annotated[
        Kind | None,
        typer.Option(
            help="What plain text stands beside in a training example: its nearest neighbours in "
            "other documents, random ones, or what follows it.",
            show_default="the recipe's",
        ),
    ] = None,
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
    """Train a Jamba language model: tokenizer, weights, chat template, curve.

    Reads plain text and SQuAD questions, and teaches the layout of passages, questions and answers
    in which the application asks. OUT is then a folder that --model takes and transformers loads.

    The state is saved every few minutes. After an interruption the same command with --resume makes
    the same updates as a run that was never stopped. When done, OUT/training.safetensors may go.
    """
    from dataclasses import replace

    from app.console import print_json, print_text, progress, say
    from app.training import lm_recipe, lm_report, lm_training

    lm_training.use_threads(threads)
    chosen = lm_recipe.read_recipe(recipe)
    ends = {name: value for name, value in (("minutes", minutes), ("steps", steps)) if value}
    chosen = replace(chosen, training={**chosen.training, **ends})
    if examples is not None:
        chosen = replace(chosen, examples={**(chosen.examples or {}), "kind": examples.value})
    sources = lm_recipe.read_sources(chosen, data, splits, texts or lm_recipe.texts_folder())
    with progress() as bar:
        task = bar.add_task("training", total=None)

        def report(point: "Point", done: float) -> None:
            if done:
                bar.update(task, completed=point.step, total=round(point.step / done))
            if point.held_out is not None:
                say(lm_report.describe(point))

        try:
            measured = lm_training.run(
                chosen, sources, out, start=start, resume=resume, say=say, report=report
            )
        except KeyboardInterrupt:
            say("stopped; the same command with --resume goes on from the last saved state")
            raise
    if as_json:
        print_json(measured.to_dict())
    else:
        print_text(f"{out}: {lm_report.summary(measured)}")


def reader(
    out: Annotated[Path, typer.Option(help="The reader folder to make, or to go on with.")],
    data: Annotated[
        Path | None, typer.Option(help="The folder that holds the recipe's files.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(help="A SQuAD file of your own: the bundled reader is trained further on it."),
    ] = None,
    recipe: Annotated[
        Path,
        typer.Option(
            help="What to train on and how, as JSON.", show_default="the bundled reader's"
        ),
    ] = READER_RECIPE,
    splits: Annotated[
        Path, typer.Option(help="Which articles may be trained on (a checkout has it).")
    ] = SPLITS,
    average: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="READER",
            help="Take the mean of trained readers instead of training; once for each reader.",
        ),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Cores to use.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Train the reader that finds answers: from the recipe's data, or further on your questions.

    The state is saved every hundred updates; the same command goes on from there. At the end the
    reader is calibrated on questions held out, and OUT is what --reader takes.
    """
    from app.answering.reader import BUNDLED
    from app.console import print_json, print_text, progress
    from app.training import reader_average, reader_training
    from app.training.lm_training import use_threads
    from retrieval.encoders.encoder import load_encoder

    if (data is None) == (questions is None):
        raise typer.BadParameter("give either --data (the recipe's folder) or --questions (a file)")
    use_threads(threads)
    chosen = reader_training.read_reader_recipe(recipe)
    if questions is not None:
        chosen = reader_training.for_own_questions(chosen, questions)
    sources = reader_training.read_reader_data(chosen, data or Path(), splits)
    encoder = load_encoder().folder
    with progress() as bar:
        task = bar.add_task("training", total=None)

        def report(step: int, steps: int, loss: float) -> None:
            bar.update(task, completed=step, total=steps)

        if average:
            scores = reader_average.average(average, sources, encoder, out)
        else:
            start = None if questions is None else BUNDLED
            scores = reader_training.run(chosen, sources, encoder, out, report, start)
    if as_json:
        print_json(scores.to_dict())
    else:
        print_text(
            f"{out}: {scores.questions} held-out questions, exact match {scores.exact_match:.1f}, "
            f"F1 {scores.f1:.1f}, right from wrong passages {scores.auroc:.3f}"
        )
