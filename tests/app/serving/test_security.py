"""Requests from elsewhere are refused on every kind of route; the secret is one check for all."""

import time

import anyio
import pytest
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from app.serving.security import (
    COOKIE,
    Access,
    Guard,
    Sessions,
    UnsafeBinding,
    access_for,
    judge,
    same_secret,
)

LOCAL = access_for("127.0.0.1", secret=None)
LOCKED = access_for("127.0.0.1", secret="correct horse")


def ask(access=LOCAL, method="GET", path="/", signed_in=False, **headers):
    given = {"host": "127.0.0.1:7860"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    refusal = judge(access, method, path, Headers(given), signed_in)
    return refusal.status if refusal else 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:7860", "localhost.:80", "127.0.0.1:7860", "[::1]:7860"]
)
def test_own_names_are_answered(host):
    assert ask(host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:7860", "10.0.0.7", "", "a b",
     "localhost@evil.example", "127.0.0.1:7860/x", "localhost:", "[::1", "localhost\n"],
)  # fmt: skip
def test_other_names_are_refused(host):
    assert ask(host=host) == 421


def test_a_missing_or_doubled_host_is_refused():
    assert judge(LOCAL, "GET", "/", Headers({}), False).status == 421
    doubled = Headers(raw=[(b"host", b"localhost"), (b"host", b"localhost")])
    assert judge(LOCAL, "GET", "/", doubled, False).status == 421


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost:7860", "http://127.0.0.1:8000", "http://127.0.0.1",
     "file://127.0.0.1:7860", "127.0.0.1:7860"],
)  # fmt: skip
def test_foreign_origins_are_refused(origin):
    assert ask(method="POST", origin=origin) == 403
    assert ask(method="OPTIONS", origin=origin) == 403


def test_our_own_origin_passes():
    assert ask(method="POST", origin="http://127.0.0.1:7860") == 200


def test_other_sites_may_link_but_not_load_parts():
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 200
    assert ask(sec_fetch_site="cross-site", sec_fetch_mode="no-cors") == 403
    assert ask(sec_fetch_site="same-site", sec_fetch_mode="cors") == 403
    assert ask(method="POST", sec_fetch_site="cross-site", sec_fetch_mode="navigate") == 403


def test_bound_everywhere_takes_addresses_but_only_named_names():
    access = access_for("0.0.0.0", secret="s", allowed_hosts=["papers.example"])
    assert ask(access, path="/healthz", host="192.168.1.5:7860") == 200
    assert ask(access, path="/healthz", host="papers.example") == 200
    assert ask(access, path="/healthz", host="rebound.example") == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org"])
def test_the_network_needs_a_password_or_the_flag(host):
    with pytest.raises(UnsafeBinding, match="--allow-open"):
        access_for(host, secret=None)
    assert isinstance(access_for(host, secret=None, allow_open=True), Access)
    assert access_for(host, secret="long enough").secret == "long enough"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_loopback_needs_none(host):
    assert access_for(host, secret=None).secret is None


def test_an_empty_password_is_an_error():
    with pytest.raises(UnsafeBinding, match="empty"):
        access_for("127.0.0.1", secret="")


def test_a_password_that_programs_cannot_send_is_an_error():
    with pytest.raises(UnsafeBinding, match="white space"):
        access_for("127.0.0.1", secret="correct horse\n")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_a_password_of_any_alphabet_is_a_token(encoding):
    access = access_for("127.0.0.1", secret="påssörd")
    sent = f"Bearer {'påssörd'.encode(encoding).decode('latin-1')}"  # as Starlette reads headers
    assert ask(access, authorization=sent) == 200
    assert ask(access, authorization=sent[:-1]) == 401


def test_one_secret_for_page_and_api():
    assert ask(LOCKED) == 401
    assert ask(LOCKED, path="/v1/models") == 401
    assert ask(LOCKED, path="/gradio_api/queue/join", method="POST") == 401
    assert ask(LOCKED, path="/v1/models", authorization="Bearer correct horse") == 200
    assert ask(LOCKED, path="/v1/models", authorization="Bearer correct hors") == 401
    assert ask(LOCKED, path="/v1/models", authorization="correct horse") == 401
    assert ask(LOCKED, signed_in=True) == 200
    assert ask(LOCKED, path="/healthz") == 200
    assert ask(LOCKED, path="/signin", host="evil.example") == 421


def test_secrets_of_any_alphabet_compare():
    assert same_secret("påssörd", "påssörd")
    assert not same_secret("", "påssörd")


def test_session_tokens_expire_and_cannot_be_made_up():
    sessions = Sessions()
    token = sessions.issue(1000.0)
    assert sessions.valid(token, 1001.0)
    assert not sessions.valid(token, 1000.0 + 8 * 24 * 3600)
    assert not Sessions().valid(token, 1001.0)
    for forged in (
        "",
        ".",
        "a.b.c",
        "9999999999.x." + token.rpartition(".")[2],
        token + "0",
        "é.é",
    ):
        assert not sessions.valid(forged, 1001.0)


async def echo(websocket):
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


def client(access=LOCAL, sessions=None):
    async def hello(request):
        return PlainTextResponse("hello")

    inner = Starlette(routes=[Route("/deep", hello, methods=["GET", "POST"])])
    routes = [Route("/", hello), WebSocketRoute("/ws", echo), Mount("/mounted", inner)]
    guarded = Guard(Starlette(routes=routes), access, sessions or Sessions())
    return TestClient(guarded, base_url="http://127.0.0.1:7860")


def test_every_route_is_behind_the_guard():
    for path in ("/", "/mounted/deep", "/nothing-here"):
        assert client().get(path, headers={"Host": "evil.example"}).status_code == 421
        assert client().post(path, headers={"Origin": "http://evil.example"}).status_code == 403


def test_web_sockets_are_behind_the_guard():
    with client().websocket_connect("ws://127.0.0.1:7860/ws") as socket:
        assert socket.receive_text() == "hello"
    with (
        pytest.raises(WebSocketDisconnect) as closed,
        client().websocket_connect(
            "ws://127.0.0.1:7860/ws", headers={"Origin": "http://evil.example"}
        ),
    ):
        pass
    assert closed.value.code == 1008


def test_answers_forbid_framing_and_outside_hosts():
    headers = client().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"  # else our own form posts with Origin: null


def test_people_are_sent_to_sign_in_and_programs_get_an_envelope():
    locked = client(LOCKED)
    page = locked.get("/", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (page.status_code, page.headers["location"]) == (303, "/signin")
    error = locked.get("/", headers={"Accept": "application/json"})
    assert error.status_code == 401
    assert error.json()["error"]["code"] == "not_signed_in"


def test_a_session_cookie_opens_the_page():
    sessions = Sessions()
    locked = client(LOCKED, sessions)
    locked.cookies.set(COOKIE, sessions.issue(time.time()))
    assert locked.get("/").status_code == 200
    locked.cookies.set(COOKIE, "forged")
    assert locked.get("/").status_code == 401


@pytest.mark.parametrize("other", ['prefs={"a": 1}', "a=b c", "flag", 'x="q', "a[b]=1"])
def test_other_servers_cookies_do_not_hide_a_session(other):
    sessions = Sessions()
    cookies = f"{other}; {COOKIE}={sessions.issue(time.time())}"
    assert client(LOCKED, sessions).get("/", headers={"Cookie": cookies}).status_code == 200


def test_lifespan_passes_through():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope["type"])

    anyio.run(Guard(app, LOCAL, Sessions()), {"type": "lifespan"}, None, None)
    assert seen == ["lifespan"]
