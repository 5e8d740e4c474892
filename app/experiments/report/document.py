"""A report as HTML: tables, words and pictures in one piece, for a file or for the page."""

import shutil
import time
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from app.experiments.report.report import Part, Picture, Report
from app.experiments.report.tables import Row, Table, cells, settings_of
from app.experiments.run_folder import RUNS, RunError, unused
from app.ui.escape import Html, html, join
from retrieval.storage.durable import rename, write_file

FILE = "report.html"

TITLES = {
    "perplexity": "Perplexity: how surprising a text is",
    "qa": "Questions: how well they are answered",
    "retrieval": "Retrieval: how well passages are found",
}


def write_report(report: Report, out: Path | None) -> Path:
    """Write `report.html` and the pictures into a new folder, whole or not at all.

    Without `out` it is a new one below `runs`. Raises RunError where that cannot be.
    """
    folder = out or unused(RUNS / f"report-{time.strftime('%Y%m%d-%H%M%S')}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: is not empty, and nothing is written over; name another --out")
    files = {f"{each.name}.png": each.png for part in report.parts for each in part.pictures}
    files[FILE] = str(document(report)).encode()
    unfinished = folder.with_name(f".{folder.name}.new")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)  # left by one that was killed
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            write_file(unfinished / name, content)
        rename(unfinished, folder)
    except OSError as error:
        raise RunError(f"{folder}: cannot be written ({error})") from None
    return folder


def document(report: Report) -> Html:
    """A whole file that shows itself anywhere: no scripts, and nothing is fetched."""
    return html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Experiments</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
        "<style>{style}</style></head><body><h1>Experiments</h1><p>{made}</p>{body}</body></html>",
        style=_STYLE,
        made=f"{len(report.runs)} runs, compared on {time.strftime('%Y-%m-%d')}.",
        body=body(report),
    )


def body(report: Report) -> Html:
    """The tables with what they mean, and the pictures."""
    return join(map(_part, report.parts))


def _part(part: Part) -> Html:
    return html(
        '<section class="report"><h2>{title}</h2>{table}{said}{pictures}</section>',
        title=TITLES[part.table.kind],
        table=_table(part.table),
        said=_list(part.sentences),
        pictures=join(map(_picture, part.pictures)),
    )


def _table(table: Table) -> Html:
    names = ["run", *(name.replace("_", " ") for name in table.varied)]
    return html(
        '<div class="wide" tabindex="0" role="region" aria-label="Table of runs"><table><thead><tr>'
        "{head}{figures}</tr></thead><tbody>{rows}</tbody></table></div>",
        head=join(html('<th scope="col">{name}</th>', name=name) for name in names),
        figures=join(
            html('<th scope="col" class="figure">{name}</th>', name=name) for name in table.figures
        ),
        rows=join(_row(table, row) for row in table.rows),
    )


def _row(table: Table, row: Row) -> Html:
    settings = join(html("<td>{text}</td>", text=text) for text in settings_of(table, row))
    figures = join(html('<td class="figure">{text}</td>', text=text) for text in cells(table, row))
    return html(
        '<tr><th scope="row"><bdi>{name}</bdi></th>{settings}{figures}</tr>',
        name=row.line.name,
        settings=settings,
        figures=figures,
    )


def _list(sentences: Sequence[str]) -> Html:
    items = join(html("<li>{said}</li>", said=said) for said in sentences)
    return html("<ul>{items}</ul>", items=items) if sentences else Html()


def _picture(picture: Picture) -> Html:
    return html(
        '<figure><img alt="{title}" src="data:image/png;base64,{png}"><figcaption>{title}'
        "</figcaption></figure>",
        title=picture.title,
        png=b64encode(picture.png).decode("ascii"),
    )


_STYLE = html(
    "body{{font:1rem/1.55 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;"
    "color:#1b2426}}h1{{font-size:1.5rem}}h2{{font-size:1.15rem;margin-top:2rem}}.wide{{overflow-x:"
    "auto}}table{{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.9rem}}"
    "th,td{{padding:.35rem .8rem .35rem 0;border-bottom:1px solid #dbe1e2;text-align:left;"
    "vertical-align:top}}thead th{{color:#58666b;font-weight:500}}th.figure,td.figure{{text-align:"
    "right;padding:.35rem 0 .35rem .8rem}}"
    "figure{{margin:1.5rem 0}}img{{max-width:100%;height:auto}}figcaption{{color:#58666b}}"
)
