"""What stands where the conversation will be: how to start, and questions to start with."""

from collections.abc import Sequence

from app.library import Collection
from app.ui.escape import Html, html, join
from app.ui.marks import count


def empty(collection: Collection | None, examples: Sequence[str]) -> Html:
    """The start of a chat with `collection`; `examples` are questions it can answer."""
    if collection is None:
        return _start("No collection yet", "Make one with the ⋯ menu above, then add documents.")
    if collection.ready == 0:
        return _start(collection.name, "Nothing to ask yet.", _TO_DOCUMENTS)
    return _start(
        f"Ask {collection.name}",
        f"{count(collection.ready, 'document')} ready. Every answer shows the exact words it "
        "rests on; click a citation to read them in place.",
        _examples(examples) if examples else Html(),
    )


_TO_DOCUMENTS = html(
    '<p><button type="button" class="primary" data-local="documents">Add documents</button></p>'
)


def _start(title: str, hint: str, more: Html | None = None) -> Html:
    return html(
        '<section class="welcome"><h2>{title}</h2><p>{hint}</p>{more}</section>',
        title=title,
        hint=hint,
        more=more or Html(),
    )


def _examples(questions: Sequence[str]) -> Html:
    buttons = join(
        html(
            '<li><button type="button" data-action="ask" data-question="{text}">{text}</button>'
            "</li>",
            text=question,
        )
        for question in questions
    )
    return html('<ul class="examples" aria-label="Example questions">{all}</ul>', all=buttons)
