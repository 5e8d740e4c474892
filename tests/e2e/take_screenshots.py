"""The pictures of the page in docs/screenshots: `python -m tests.e2e.take_screenshots`.

Taken of the sample collection in a new home, at the widths of a desktop and a phone.
"""

import sys
import tempfile
from pathlib import Path
from typing import Literal

import httpx
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browsing import READING, ask, find_chromium, launched, open_page, tab
from tests.e2e.serving import ROOT, Server

Scheme = Literal["light", "dark"]

FOLDER = ROOT / "docs" / "screenshots"
DESKTOP, PHONE = (1280, 820), (390, 844)
QUESTION = "How high did the river get in the December 2024 flood?"
UNANSWERED = "Who won the football world cup in 1998?"


def main() -> None:
    chromium = find_chromium()
    if chromium is None:
        sys.exit("error: no Chromium on PATH; install it (Debian: apt-get install chromium)")
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "home", "demo") as server,
        launched(chromium) as browser,
    ):
        take_all(browser, server)


def take_all(browser: Browser, server: Server) -> None:
    warm_up(server)
    page = opened(browser, server, DESKTOP, "light")
    take(page, "start-1280")
    ask_and_cite(page)
    take(page, "answer-1280")
    for name in ("Documents", "Experiments"):
        tab(page, name)
        take(page, f"{name.lower()}-1280")
    page = opened(browser, server, DESKTOP, "dark")
    ask_and_cite(page)
    take(page, "answer-1280-dark")
    page.locator("#source button.close").click()
    ask(page, UNANSWERED)
    take(page, "abstain-1280-dark")
    page = opened(browser, server, PHONE, "dark")
    take(page, "start-390-dark")
    page = opened(browser, server, PHONE, "light")
    ask(page, QUESTION)
    take(page, "answer-390")
    tab(page, "Documents")
    take(page, "documents-390")


def ask_and_cite(page: Page) -> None:
    ask(page, QUESTION)
    page.locator("#conversation button.cite").first.click()
    expect(page.locator("#source .page-picture img")).to_be_visible()


def warm_up(server: Server) -> None:
    """Ask once in each mode, so that the times in the pictures are not those of loading."""
    for mode in ("free", "quote"):
        asked = {"question": QUESTION, "mode": mode}
        address = f"{server.address}/v1/collections/1/ask"
        httpx.post(address, json=asked, timeout=READING / 1000).raise_for_status()


def opened(browser: Browser, server: Server, size: tuple[int, int], scheme: Scheme) -> Page:
    """The page in a browser that knows nothing of it yet."""
    width, height = size
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(READING)
    open_page(page, server)
    expect(page.locator("#conversation .welcome")).to_be_visible()
    return page


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(600)  # what slides in has arrived
    page.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    main()
