"""An experiment on the page, from a dropped file to a comparison."""

import json

import pytest
from playwright.sync_api import expect

from tests.e2e.browsing import open_page, tab, upload, wait_ready

pytestmark = [
    pytest.mark.browser, pytest.mark.java, pytest.mark.slow, pytest.mark.timeout(600),
]  # fmt: skip

DONE = 240_000  # milliseconds: the process loads an encoder and a JVM of its own
ASKED = [
    {"question": "How tall is the lighthouse of Skerry Sound?", "answers": ["37 metres"]},
    {"question": "When was it lit for the first time?", "answers": ["1858"]},
]


def test_an_experiment_is_run_compared_and_downloaded(page, server, lighthouse_pdf, tmp_path):
    questions = tmp_path / "<b>asked.jsonl"
    questions.write_text("".join(json.dumps(each) + "\n" for each in ASKED))
    open_page(page, server)
    upload(page, lighthouse_pdf)
    wait_ready(page, "lighthouse.pdf")
    tab(page, "Experiments")
    for number, mode in enumerate(("Words and meaning", "Meaning"), start=1):
        page.locator("#experiment-file input[type=file]").set_input_files(str(questions))
        expect(page.locator("#experiment-file")).to_contain_text("asked")
        page.locator("#experiment-mode").get_by_label(mode, exact=True).check()
        page.locator("#experiment-start").click()
        row = page.locator("#experiments li.experiment", has_text=f"#{number}")
        expect(row).to_have_attribute("data-state", "finished", timeout=DONE)
        expect(row.locator(".result")).to_contain_text("of 2 questions")
        row.locator("input").check()
    page.locator("#experiments button", has_text="Compare").click()
    report = page.locator("#comparison .report")
    expect(report.locator("tbody tr")).to_have_count(2)
    expect(report.locator("img")).to_have_count(1)
    for link, name in (("#experiments .tools a", "experiment-2.zip"), ("#comparison a", "report")):
        with page.expect_download() as download:
            page.locator(link).first.click()
        assert download.value.suggested_filename.startswith(name)
    assert page.locator("#experiments b").count() == 0
