"""ask: one question to one index folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.types import Answer, AnswerMode, Checking, Citation, Done, Event, TextDelta

if TYPE_CHECKING:
    from app.settings import Settings


def register(app: typer.Typer) -> None:
    """Add `ask`."""

    @app.command()
    def ask(  # noqa: PLR0913 - one argument for each option
        index: Annotated[str, typer.Argument(metavar="[DIR]", help="An index folder.")],
        question: Annotated[str | None, typer.Argument(help="What you want to know.")] = None,
        k: Annotated[int | None, typer.Option(min=1, help="Passages to answer from.")] = None,
        mode: Annotated[str | None, typer.Option(help="quote (literal words) or free.")] = None,
        model: Annotated[str | None, typer.Option(help="A folder, a hub id or a URL.")] = None,
        reader: Annotated[Path | None, typer.Option(help="A folder from `train reader`.")] = None,
        document: Annotated[
            Path | None, typer.Option(help="One file to read whole, instead of DIR.")
        ] = None,
        twice: Annotated[
            bool, typer.Option("--twice", help="Compare several drafts of a free answer.")
        ] = False,
        json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Answer a question from an index, with the words the answer rests on.

        With --document, a language model reads one file as a whole; its state is kept, so that
        later questions about the file cost only themselves.
        """
        from app.console import print_json
        from app.serving.schemas import answer_object
        from app.settings import load_settings

        settings = load_settings(k=k, mode=mode, model=model, reader=reader)
        if document is not None and any((k, mode, reader, twice)):
            raise typer.BadParameter(
                "-k, --mode, --reader and --twice are for answers from an index; leave them out"
            )
        if document is not None and question is None:
            from app.commands.ask_document import ask_whole

            ask_whole(document, index, settings, json)
        elif document is not None or question is None:
            raise typer.BadParameter("give DIR and QUESTION, or --document FILE and QUESTION")
        elif json:
            print_json(answer_object(_last(_events(Path(index), question, settings, twice))))
        else:
            _show(_events(Path(index), question, settings, twice))


def _events(folder: Path, question: str, settings: "Settings", twice: bool) -> Iterator[Event]:
    """Open what the question needs, answer it, close everything."""
    from app.answering.answer import answer_question
    from app.answering.drafts import DRAFTS
    from app.answering.quoting import Readers
    from app.answering.reader import open_reader
    from app.commands.language_model import language_model
    from retrieval.index import Index

    index = Index.open(folder)
    model = language_model(settings) if settings.needs_model(settings.mode) else None
    try:
        yield from answer_question(
            question,
            index=index,
            readers=Readers(
                open_reader(settings.reader), model, settings.quotes, DRAFTS if twice else 1
            ),
            mode=settings.mode,
            k=settings.k,
        )
    finally:
        index.close()
        if model is not None:
            model.close()


def _last(events: Iterator[Event]) -> Answer:
    """The answer that the events end with."""
    return [event.answer for event in events if isinstance(event, Done)][-1]


def _show(events: Iterator[Event]) -> None:
    """Print text as it comes, then what the citations stand for; without control characters."""
    import sys

    from app.answering.drafts import doing
    from app.console import print_text, say
    from app.ui.escape import visible

    for event in events:
        if isinstance(event, Checking):
            say(f"{doing(event)} ...")
        elif isinstance(event, TextDelta):
            sys.stdout.write(visible(event.text))
            sys.stdout.flush()
        elif isinstance(event, Done):
            print_text("")
            for line in _notes(event.answer):
                print_text(visible(line))


def _notes(answer: Answer) -> Iterator[str]:
    """What stands below an answer: its citations, what it says without support, its check."""
    from app.answering.drafts import outcome

    if answer.citations:
        yield ""
    for citation in answer.citations:
        yield f'[{citation.number}] {_place(citation)}: "{" ".join(citation.text.split())}"'
    if answer.mode is AnswerMode.FREE:
        for sentence in answer.sentences:
            if not sentence.citations:
                yield f'not supported: "{" ".join(sentence.text.split())}"'
    if answer.check is not None:
        yield outcome(answer.check)


def _place(citation: Citation) -> str:
    page = "" if citation.page is None else f", page {citation.page}"
    return citation.document + page
