"""The About tab: what answers here, named as what it is, and how to use something else."""

from app.models.loading import Loading
from app.models.resolve import BUNDLED
from app.serving.service import Service
from app.types import AnswerMode, QuoteSource
from app.ui.escape import Html, html, join
from app.ui.measured import of_model, of_reader

QUOTES = "Literal words of your documents, with their place. "
POINTED_AT = {
    QuoteSource.READER: "No model writes anything.",
    QuoteSource.MODEL: "The language model chooses them; it can write nothing else.",
    QuoteSource.BOTH: "A reader and the language model choose them; neither can write anything.",
}


def note(service: Service, mode: AnswerMode) -> Html:
    """One line under the question box: what answers in this mode, and where passages go."""
    said = _quotes(service) if mode is AnswerMode.QUOTE else service.models.state()[1]
    return html('<p class="note">{said}</p>', said=said)


def text(service: Service) -> Html:
    """What the running server is made of, for the person who has to trust it."""
    state, notice = service.models.state()
    rows = [
        ("Quotes", _quotes(service)),
        ("Free answers", notice if state is not Loading.FAILED else f"Not available: {notice}"),
        ("Privacy", _privacy(service)),
        ("Your documents", f"Kept in {service.library.home}, with their indexes and your chats."),
    ]
    return html(
        '<section class="about"><h2>What answers here</h2><dl>{rows}</dl>{figures}'
        "<h2>Use another model</h2><p>Start the server with <code>--model</code> and a folder, "
        "a hub id, or the URL of any OpenAI-compatible server.</p><h2>From a program</h2>"
        "<p>The same answers with the same citations: <code>POST /v1/collections/ID/ask</code>. "
        "<code>/v1/models</code> and <code>/v1/chat/completions</code> speak OpenAI’s API.</p>"
        "</section>",
        figures=_figures(service),
        rows=join(html("<dt>{n}</dt><dd>{said}</dd>", n=name, said=said) for name, said in rows),
    )


def _quotes(service: Service) -> str:
    return QUOTES + POINTED_AT[service.settings.quotes]


def _figures(service: Service) -> Html:
    """What was measured of the models that come with the program."""
    ours = service.settings.model is None
    return join((of_reader(service.settings.reader), of_model(BUNDLED) if ours else Html()))


def _privacy(service: Service) -> str:
    host = service.models.remote_host()
    if host is None:
        return "Everything runs on this computer."
    return f"Passages are sent to {host} when an answer is generated."
