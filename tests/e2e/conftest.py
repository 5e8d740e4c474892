"""A real server, a real browser for the page tests, and a real PDF to upload."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.browsing import find_chromium, launched
from tests.e2e.serving import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """One server for the tests that need no restart; each works in what it uploads itself."""
    with Server(tmp_path_factory.mktemp("shared-server") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator:
    """The distribution's Chromium; the test is skipped where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(
            "no Chromium on PATH and no right to install it: 'apt-get install chromium', "
            "or your distribution's package, runs this test"
        )
    with launched(path) as opened:
        yield opened


@pytest.fixture
def page(browser) -> Iterator:
    """A fresh page; what the browser printed as an error is shown when a test fails."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(60_000)
    opened.on("pageerror", lambda error: print(f"page error: {error}"))  # noqa: T201
    yield opened
    context.close()


@pytest.fixture(scope="session")
def lighthouse_pdf(tmp_path_factory) -> Path:
    """Two pages; the second says how tall the lighthouse is."""
    from reportlab.lib.pagesizes import A5
    from reportlab.pdfgen import canvas

    path: Path = tmp_path_factory.mktemp("upload") / "lighthouse.pdf"
    pages = (
        ["The harbour of Skerry Sound", "Ferries leave the harbour twice a day in summer."],
        ["The lighthouse", "The lighthouse of Skerry Sound is 37 metres tall.",
         "It was lit for the first time in 1858."],
    )  # fmt: skip
    drawing = canvas.Canvas(str(path), pagesize=A5, invariant=1)
    for lines in pages:
        for number, line in enumerate(lines):
            drawing.drawString(60, 500 - 30 * number, line)
        drawing.showPage()
    drawing.save()
    return path
