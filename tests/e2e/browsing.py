"""A real browser, and what people do with the page in it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.serving import Server

expect.set_options(timeout=60_000)  # milliseconds; a busy machine is slow, not wrong
READING = 180_000  # for a document to become ready: the worker loads its encoder first


def find_chromium() -> str | None:
    """The distribution's Chromium."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


@contextmanager
def launched(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(page: Page, server: Server) -> None:
    page.goto(server.address)
    expect(page.locator("#question textarea")).to_be_visible()


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def upload(page: Page, *paths: Path) -> None:
    tab(page, "Documents")
    page.locator("#add-files input[type=file]").set_input_files([str(path) for path in paths])


def wait_ready(page: Page, name: str) -> None:
    row = page.locator("#documents li.document", has_text=name)
    expect(row).to_have_attribute("data-state", "ready", timeout=READING)


def ask(page: Page, question: str) -> None:
    tab(page, "Ask")
    page.locator("#question textarea").fill(question)
    page.locator("#ask-button").click()
    turn = page.locator("#conversation article.turn", has_text=question)
    expect(turn.locator(".figures")).to_be_visible()
