"""The page through a real browser over a real server: what newcomers do, and what vandals try."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browsing import ask, open_page, tab, upload, wait_ready
from tests.e2e.serving import Server

pytestmark = [pytest.mark.browser, pytest.mark.java, pytest.mark.timeout(420)]


def test_upload_ask_click_restart(page, tmp_path, lighthouse_pdf):
    question = "How tall is the lighthouse?"
    home = tmp_path / "home"
    with Server(home) as server:
        open_page(page, server)
        upload(page, lighthouse_pdf)
        wait_ready(page, "lighthouse.pdf")
        ask(page, question)
        expect(page.locator("#conversation blockquote")).to_contain_text("37 metres")
        check_citation(page)
        assert server.stop() == 130
        assert "Traceback" not in server.log.read_text()
    with Server(home) as server:
        open_page(page, server)
        tab(page, "Documents")
        wait_ready(page, "lighthouse.pdf")
        tab(page, "Ask")
        page.locator("#chats .chat .open").first.click()
        expect(page.locator("#conversation h3.question")).to_have_text(question)
        check_citation(page)


def check_citation(page: Page) -> None:
    """A click shows the words marked in the text, and boxed on the picture of their page."""
    page.locator("#conversation button.cite").first.click()
    expect(page.locator("#source h3")).to_have_text("lighthouse.pdf, page 2")
    expect(page.locator("#source mark[data-found]")).to_contain_text("37 metres tall")
    picture = page.locator("#source .page-picture")
    expect(picture.locator("img")).to_be_visible()
    width = picture.locator("img").evaluate("image => image.naturalWidth")
    assert width > 200
    assert picture.locator("i").count() >= 1
    page.locator("#source button.close").click()
    expect(page.locator("#source mark")).to_have_count(0)


def test_files_dropped_before_the_page_has_heard_from_the_server_are_taken(page, server, tmp_path):
    early = tmp_path / "early.txt"
    early.write_text("The ferry to Tarn leaves at half past six.\n")
    held = []

    def files_first(route):
        """Let nothing but dropped files through to the server."""
        if "gradio.FileData" in (route.request.post_data or ""):
            route.continue_()
        else:
            held.append(route)

    page.route("**/queue/join*", files_first)
    open_page(page, server)
    with page.expect_request(
        lambda sent: "queue/join" in sent.url and "early.txt" in (sent.post_data or "")
    ):
        upload(page, early)
    page.unroute("**/queue/join*", files_first)  # what was held goes on by itself
    assert held
    wait_ready(page, "early.txt")


@pytest.mark.slow
def test_a_citation_deep_in_a_long_text_is_brought_into_view(page, server, tmp_path):
    long = tmp_path / "bells.txt"
    rows = [f"Entry {n} tells of the weather on an ordinary day." for n in range(300)]
    rows[150] = "The great bell of Quarrow was cast by Ines Vandermolen in 1741."
    long.write_text("\n\n".join(rows))
    open_page(page, server)
    upload(page, long)
    wait_ready(page, "bells.txt")
    ask(page, "Who cast the great bell of Quarrow?")
    expect(page.locator("#conversation blockquote strong")).to_contain_text("Vandermolen")
    page.locator("#conversation button.cite").first.click()
    found = page.locator("#source mark[data-found]")
    expect(found).to_contain_text("great bell of Quarrow")
    expect(found).to_be_in_viewport()


def test_a_hostile_document_shows_as_text(page, server, tmp_path):
    hostile = tmp_path / "<img src=x onerror=hacked=3>.txt"
    hostile.write_text(
        "The password of the east gate is <script>window.hacked = 1</script> swordfish "
        '<img src=x onerror="window.hacked = 2"> and it changes every night at ten.\n'
    )
    open_page(page, server)
    upload(page, hostile)
    wait_ready(page, "onerror")
    ask(page, "What is the password of the east gate?")
    expect(page.locator("#conversation blockquote")).to_contain_text(
        "<script>window.hacked = 1</script> swordfish"
    )
    page.locator("#conversation button.cite").first.click()
    expect(page.locator("#source mark[data-found]")).to_contain_text("<img src=x onerror=")
    page.locator("#conversation details.evidence summary").first.click()
    page.wait_for_timeout(1000)
    assert page.evaluate("() => window.hacked") is None
    assert page.locator("#conversation script, #source script").count() == 0
    assert page.locator("#conversation img, #source .document-text img").count() == 0


def test_a_removed_document_is_cited_nowhere_on_the_page(page, server, lighthouse_pdf):
    open_page(page, server)
    upload(page, lighthouse_pdf)
    wait_ready(page, "lighthouse.pdf")
    ask(page, "How tall is the lighthouse?")
    tab(page, "Documents")
    row = page.locator("#documents li.document", has_text="lighthouse.pdf")
    row.locator("button[data-action=remove]").click()
    page.locator("dialog button", has_text="Remove").click()
    expect(row).to_have_count(0)
    tab(page, "Ask")
    page.reload()
    expect(page.locator("#question textarea")).to_be_visible()
    if page.locator("#conversation article.turn").count() == 0:
        page.locator("#chats .chat .open", has_text="lighthouse").first.click()
    expect(page.locator("#conversation .sources")).to_contain_text("removed")
    expect(page.locator("#conversation button.cite")).to_have_count(0)
    assert not re.search("37 metres", page.locator("#conversation").inner_text())
