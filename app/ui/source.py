"""The source panel: the exact words of a citation in their document, and on the PDF's page."""

from base64 import b64encode

from app.serving.service import PageImage, View
from app.ui.escape import Html, html, join
from app.ui.marks import where

CLOSED = html(
    '<div class="source-empty"><p>Click a citation to see its words where they stand.</p></div>'
)


def opened(view: View, image: PageImage | None = None, *, loading: bool = False) -> Html:
    """The panel with `view`; for a PDF the page's picture, or a line while it is drawn."""
    page = html('<p class="doing">Drawing the page…</p>') if loading else Html()
    return html(
        '<section class="source-open" aria-label="Source">{heading}'
        '<div class="document-text" data-frame tabindex="0" aria-label="Text of the document">'
        "{before}{found}{after}</div>{page}</section>",
        heading=_heading(where(view.document, view.page)),
        before=html("{cut}{text}", cut="… " if view.cut_before else "", text=view.before),
        found=html("<mark data-found>{text}</mark>", text=view.words),
        after=html("{text}{cut}", text=view.after, cut=" …" if view.cut_after else ""),
        page=page if image is None else _picture(image),
    )


def closed_with(message: str) -> Html:
    """The panel when there is nothing to show, and why."""
    return html(
        '<section class="source-open" aria-label="Source">{heading}'
        '<p class="trouble" role="alert">{message}</p></section>',
        heading=_heading("Source"),
        message=message,
    )


def _heading(title: str) -> Html:
    return html(
        '<header><h3 tabindex="-1" data-take-focus><bdi>{title}</bdi></h3>'
        '<button type="button" class="close" data-action="close" aria-label="Close the source">'
        "✕</button></header>",
        title=title,
    )


def _picture(image: PageImage) -> Html:
    """The page with a box over each line of the words; boxes are placed in percent of the page."""
    boxes = join(
        html(
            '<i style="left:{x}%;top:{y}%;width:{w}%;height:{h}%"></i>',
            x=f"{100 * left:.3f}",
            y=f"{100 * top:.3f}",
            w=f"{100 * (right - left):.3f}",
            h=f"{100 * (bottom - top):.3f}",
        )
        for left, top, right, bottom in image.boxes
    )
    return html(
        '<figure class="page-picture"><img alt="Page {page} with the words boxed" '
        'src="data:image/png;base64,{png}">{boxes}</figure>',
        page=image.page,
        png=b64encode(image.png).decode("ascii"),
        boxes=boxes,
    )
