"""eval: figures for questions with known answers, and for text."""

import typer

from app.commands.eval_perplexity import perplexity
from app.commands.eval_qa import qa
from app.commands.eval_retrieval import retrieval


def register(app: typer.Typer) -> None:
    """Add the `eval` group."""
    group = typer.Typer(help="Measure on questions with known answers.", no_args_is_help=True)
    app.add_typer(group, name="eval")
    group.command()(retrieval)
    group.command()(perplexity)
    group.command()(qa)
