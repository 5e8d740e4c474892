"""train spider, questions, import, static: encoders for the dense half of the search."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from retrieval.training.encoder_runs import Hear, TrainedEncoder

IndexFolder = Annotated[Path, typer.Option("--index", metavar="DIR", help="An index folder.")]
Out = Annotated[Path, typer.Option("--out", metavar="MODEL", help="The encoder folder to make.")]
StartName = Annotated[
    str | None,
    typer.Option(
        "--start",
        help="The encoder to begin with: a folder or hub id; a plain BERT serves too.",
        show_default="the packaged MiniLM",
    ),
]
Steps = Annotated[int, typer.Option(min=1, help="Updates.")]
BatchSize = Annotated[int, typer.Option(min=2, help="Queries an update; memory does not grow.")]
MiniBatch = Annotated[int, typer.Option(min=1, help="Texts in memory at a time.")]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        min=8,
        help="Where texts are cut while training; fewer cost less time.",
        show_default="as far as the encoder reads",
    ),
]
Rate = Annotated[float, typer.Option(help="The learning rate at its peak.")]
Scale = Annotated[
    float | None,
    typer.Option(
        help="What scores are multiplied by in the loss.",
        show_default="1, or 20 for vectors of unit length",
    ),
]
Seed = Annotated[int, typer.Option(help="What draws the examples.")]
Threads = Annotated[int, typer.Option(min=1, help="Cores to use.")]
Json = Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")]


class Rules(StrEnum):
    """Which recurring words are spans."""

    PAPER = "paper"
    CODE = "code"


def register(group: typer.Typer) -> None:
    """Add the commands to the group `train`."""
    group.command("spider")(spider)
    group.command("questions")(questions)
    group.command("import")(import_encoder)
    group.command("static")(static)


def spider(  # noqa: PLR0913 - one argument for each option
    index: IndexFolder,
    out: Out,
    start: StartName = None,
    steps: Steps = 500,
    batch_size: BatchSize = 64,
    mini_batch: MiniBatch = 16,
    max_tokens: MaxTokens = None,
    learning_rate: Rate = 2e-5,
    scale: Scale = None,
    rules: Annotated[
        Rules,
        typer.Option(help="Spans as in the paper, or as its code finds them (see the docs)."),
    ] = Rules.PAPER,
    seed: Seed = 1,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Adapt an encoder to an index's own passages, without a question (Spider's recurring spans).

    A stopped run goes on with the same command. OUT is then what --encoder takes.
    """
    from app.training.lm_training import use_threads
    from retrieval.spider.recurring_spans import OFFICIAL_CODE, PAPER
    from retrieval.training.encoder_runs import Start, train_spider
    from retrieval.training.encoder_train import EncoderTraining

    use_threads(threads)
    settings = EncoderTraining(
        steps=steps,
        batch_size=batch_size,
        mini_batch=mini_batch,
        max_tokens=max_tokens,
        learning_rate=learning_rate,
        scale=scale,
        seed=seed,
    )
    chosen = PAPER if rules is Rules.PAPER else OFFICIAL_CODE
    with _hearing() as hear:
        trained = train_spider(Start(index, start, settings), out, hear, chosen)
    _finish(trained, out, as_json)


def questions(  # noqa: PLR0913 - one argument for each option
    index: IndexFolder,
    questions: Annotated[Path, typer.Option(help="A DPR or SQuAD JSON file, or a BEIR folder.")],
    out: Out,
    start: StartName = None,
    split: Annotated[str, typer.Option(help="Of a BEIR folder, which qrels/SPLIT.tsv.")] = "train",
    steps: Steps = 500,
    batch_size: BatchSize = 64,
    mini_batch: MiniBatch = 16,
    max_tokens: MaxTokens = None,
    learning_rate: Rate = 1e-5,
    scale: Scale = None,
    seed: Seed = 1,
    threads: Threads = 2,
    as_json: Json = False,
) -> None:
    """Train an encoder on questions, against wrong passages that BM25 finds in the index.

    A stopped run goes on with the same command. OUT is then what --encoder takes.
    """
    from app.training.lm_training import use_threads
    from retrieval.training.encoder_runs import Start, train_on_questions
    from retrieval.training.encoder_train import EncoderTraining

    use_threads(threads)
    settings = EncoderTraining(
        steps=steps,
        batch_size=batch_size,
        mini_batch=mini_batch,
        max_tokens=max_tokens,
        learning_rate=learning_rate,
        scale=scale,
        seed=seed,
    )
    with _hearing() as hear:
        trained = train_on_questions(Start(index, start, settings), questions, out, hear, split)
    _finish(trained, out, as_json)


def import_encoder(
    checkpoint: Annotated[
        str, typer.Argument(help="A folder or hub id: Spider, DPR, Contriever, BERT, ...")
    ],
    out: Out,
    questions: Annotated[
        str | None, typer.Option(help="DPR's question encoder; CHECKPOINT reads the passages.")
    ] = None,
) -> None:
    """Make an encoder folder of a published checkpoint, pooled as it was trained."""
    from app.console import say
    from retrieval.encoders.checkpoints import import_checkpoint
    from retrieval.encoders.encoder import find_folder

    other = find_folder(questions) if questions else None
    import_checkpoint(find_folder(checkpoint), out, other)
    say(f"{out}: an encoder; 'index build SOURCE --out DIR --encoder {out}' uses it")


def static(
    out: Out,
    start: StartName = None,
    dimension: Annotated[int, typer.Option(min=2, help="Numbers of a vector.")] = 256,
) -> None:
    """Make a static encoder, which reads thousands of passages a second and finds less.

    One vector for each token, taken from another encoder; OUT is then what --encoder takes.
    """
    from app.console import say
    from retrieval.encoders.encoder import find_folder
    from retrieval.training.static_encoder import make_static

    with _hearing() as hear:
        make_static(find_folder(start), out, lambda *of: hear("tokens", *of), dimension)
    say(f"{out}: an encoder; 'index build SOURCE --out DIR --encoder {out}' uses it")


@contextmanager
def _hearing() -> Iterator["Hear"]:
    """A bar for each stage on standard error; if stopped, how to go on."""
    from app.console import progress, say

    with progress() as bars:
        tasks: dict[str, Any] = {}

        def hear(stage: str, done: int, total: int, loss: float | None = None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage)
            shown = stage if loss is None else f"{stage}, loss {loss:.3f}"
            bars.update(tasks[stage], completed=done, total=total, description=shown)

        try:
            yield hear
        except KeyboardInterrupt:
            say("stopped; the same command goes on from the last saved step")
            raise


def _finish(trained: "TrainedEncoder", out: Path, as_json: bool) -> None:
    from app.console import print_json, print_text

    if as_json:
        print_json(asdict(trained))
    else:
        print_text(
            f"{out}: {trained.steps} steps in {trained.seconds:.0f} s, loss from"
            f" {trained.first_loss:.3f} to {trained.last_loss:.3f}; README.md there says the rest"
        )
