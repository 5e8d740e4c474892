"""How long the page takes: `python -m tests.e2e.measure_first_words`.

Loads the bundled models, each five times, then asks the sample collection's questions in Chromium,
each in a new chat, and takes the time from the click to the answer's first words on the page.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, expect

from app.sample import SampleQuestion, sample_questions
from tests.e2e.browsing import READING, find_chromium, launched, open_page
from tests.e2e.serving import ROOT, Server
from tests.e2e.take_screenshots import warm_up

QUESTIONS = 12
LOADS = 5
MODES = {"quotes": "Quotes only", "free answers": "Free answer"}

TIMED = """
import time, jamba, app.answering.reader, app.models.resolve
import retrieval.encoders.encoder, retrieval.reading.reader, sentence_transformers, torch
torch.set_num_threads(2)
began = time.perf_counter()
{script}
print(time.perf_counter() - began)
"""
LOADING = {
    "reader": "app.answering.reader.open_reader()",
    "small Jamba": "jamba.load_model(app.models.resolve.BUNDLED, 'cpu', torch.float32)",
}

# Clicks, and resolves with the milliseconds until there are words of this question's answer.
CLICK_AND_WAIT = """question => new Promise(resolve => {
    const began = performance.now();
    const words = ".answer > :is(p, blockquote):not(.doing):not(.hint)";
    const look = () => {
        const turn = [...document.querySelectorAll("article.turn")].find(
            one => one.querySelector("h3.question")?.textContent === question);
        if (turn?.querySelector(words)?.textContent.trim()) resolve(performance.now() - began);
        else requestAnimationFrame(look);
    };
    document.querySelector("#ask-button").click();
    look();
})"""


def main() -> None:
    chromium = find_chromium()
    if chromium is None:
        sys.exit("error: no Chromium on PATH; install it (Debian: apt-get install chromium)")
    say_loads()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder) / "home", "demo") as server,
        launched(chromium) as browser,
    ):
        warm_up(server)
        for mode, label in MODES.items():
            page = browser.new_context(viewport={"width": 1280, "height": 820}).new_page()
            page.set_default_timeout(READING)
            open_page(page, server)
            expect(page.locator("#conversation .welcome")).to_be_visible()
            page.locator("#mode label", has_text=label).click()
            say(mode, [first_words(page, each.question) for each in asked()])
            page.context.close()


def say_loads() -> None:
    """Seconds to open each bundled model in a new process, the imports before it not counted."""
    for name, script in LOADING.items():
        say(f"loading the {name}", [loaded(script) for _ in range(LOADS)])


def loaded(script: str) -> float:
    command = [sys.executable, "-c", TIMED.format(script=script)]
    return float(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def asked() -> list[SampleQuestion]:
    """The questions of the sample that its documents answer, the first of them."""
    return [each for each in sample_questions() if each.answers][:QUESTIONS]


def first_words(page: Page, question: str) -> float:
    """Seconds from the click to the first words; returns when the answer is whole."""
    page.locator("#question textarea").fill(question)
    found: float = page.evaluate(CLICK_AND_WAIT, question)
    turn = page.locator("#conversation article.turn", has_text=question)
    expect(turn.locator(".figures")).to_be_visible()
    page.locator("#chats button[data-action='new-chat']").click()
    expect(page.locator("#conversation .welcome")).to_be_visible()
    return found / 1000


def say(what: str, seconds: list[float]) -> None:
    print(f"{what}: median {median(seconds):.2f} s, worst {max(seconds):.2f} s")  # noqa: T201


if __name__ == "__main__":
    main()
