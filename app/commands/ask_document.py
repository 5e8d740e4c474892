"""ask --document: one question to one whole file."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.models.reading import DocumentAnswer, DocumentRead
    from app.settings import Settings


def ask_whole(path: Path, question: str, settings: "Settings", json: bool) -> None:
    """Read the file once, answer, and say on standard error what the state took."""
    from app.console import print_json, print_text, say
    from app.models.reading import DocumentAnswer, DocumentRead
    from app.ui.escape import visible

    text = ""
    for event in _events(path, question, settings):
        if isinstance(event, DocumentRead):
            say(_told(event))
        elif isinstance(event, DocumentAnswer):
            text = event.text
            if json:
                print_json({"answer": text, "mode": "free", "citations": [], **_figures(event)})
    if not json:
        print_text(visible(text))


def _events(
    path: Path, question: str, settings: "Settings"
) -> Iterator["DocumentRead | str | DocumentAnswer"]:
    from app.commands.language_model import language_model
    from app.console import progress
    from app.models.reading import ask_document, open_document

    passage = open_document(path)
    # A whole document is as much as the model's context takes, not the budget of a few passages.
    model = language_model(settings.model_copy(update={"prompt_tokens": 2**31}), keep=True)
    try:
        with progress() as bar:
            task = bar.add_task(f"Reading {path.name}", total=None)
            yield from ask_document(
                passage,
                question,
                model,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
    finally:
        model.close()


def _told(read: "DocumentRead") -> str:
    size = f"{read.tokens} tokens, {read.bytes / 2**20:.1f} MiB, {read.seconds:.1f} s"
    if read.cached_tokens == read.tokens:
        return f"{read.document}: its state was there already ({size}, from {read.restored_from})"
    return f"{read.document}: read, and its state is kept ({size})"


def _figures(answer: "DocumentAnswer") -> dict[str, object]:
    return {
        "document": answer.read.document,
        "state": {key: value for key, value in asdict(answer.read).items() if key != "document"},
        "cache": asdict(answer.cache),
        "timings": {
            "read": answer.read.seconds,
            "first_token": answer.first_s,
            "total": answer.total_s,
        },
    }
