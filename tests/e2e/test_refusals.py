"""A request from another site, or under another name, is refused on every kind of route."""

import httpx
import pytest

pytestmark = [pytest.mark.java, pytest.mark.timeout(240)]

REFUSED = {400, 403, 421}
ROUTES = [
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/config"),
    ("GET", "/v1/collections"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/collections/1/ask"),
    ("GET", "/chats/1.md"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/queue/data"),
    ("GET", "/gradio_api/file=/etc/hostname"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/run/predict"),
]
FOREIGN = [
    {"Host": "evil.example"},
    {"Host": "evil.example:7860"},
    {"Host": "127.0.0.1.evil.example"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
]


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_stranger_is_refused(server, method, route, headers):
    answer = httpx.request(method, server.address + route, headers=headers, timeout=30)
    assert answer.status_code in REFUSED, (answer.status_code, answer.text[:200])


def test_the_page_itself_is_served(server):
    answer = httpx.get(server.address, timeout=30)
    assert answer.status_code == 200
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    port = server.address.rsplit(":", 1)[1]
    named = httpx.get(server.address, headers={"Host": f"localhost:{port}"}, timeout=30)
    assert named.status_code == 200


def test_page_handlers_are_no_api(server):
    """Gradio would let a program call what a click calls."""
    info = httpx.get(f"{server.address}/gradio_api/info", timeout=30)
    if info.status_code == 200:
        assert info.json().get("named_endpoints", {}) == {}
        assert info.json().get("unnamed_endpoints", {}) == {}


def test_no_file_of_the_machine_is_served(server):
    for path in ("/etc/passwd", f"{server.home}/library.db", str(server.log)):
        answer = httpx.get(f"{server.address}/gradio_api/file={path}", timeout=30)
        assert answer.status_code in {403, 404}, path
