"""What the server lets in, and what it never gives away."""

from urllib.parse import unquote

import httpx
import pytest

from tests.app.serving.api.shelf import PASSWORD, QUESTION, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def test_everything_is_behind_host_origin_and_password(address):
    with httpx.Client(base_url=address) as http:
        for path in (
            "/v1/models",
            "/config",
            "/gradio_api/info",
            "/gradio_api/queue/data",
            "/x.css",
        ):
            assert http.get(path).status_code == 401
            assert http.get(path, headers={"Host": "evil.example"}).status_code == 421
        for path in ("/gradio_api/queue/join", "/gradio_api/upload", "/v1/chat/completions"):
            foreign = {"Origin": "http://evil.example", "Authorization": f"Bearer {PASSWORD}"}
            assert http.post(path, headers=foreign).status_code == 403
        assert http.get("/healthz").json() == {"status": "ok"}
        assert http.get("/", headers={"Accept": "text/html"}).headers["location"] == "/signin"


def test_signing_in_opens_the_page(address):
    with httpx.Client(base_url=address, follow_redirects=True) as http:
        wrong = http.post("/signin", data={"password": "wrong"})
        assert (wrong.status_code, "not the password" in wrong.text) == (401, True)
        assert "orbweaver_session" not in http.cookies
        assert "window.gradio_config" in http.post("/signin", data={"password": PASSWORD}).text


def test_files_of_this_machine_are_not_served(http, service):
    home = service.library.home
    row = service.library.documents(shelf_id(service))[0]
    for path in ("/etc/passwd", home / "library.db", service.library.file_path(row), "README.md"):
        assert http.get(f"/gradio_api/file={path}").status_code in {403, 404}
    assert http.get("/monitoring").status_code in {403, 404}


def test_page_handlers_are_no_public_endpoints(http):
    info = http.get("/gradio_api/info").json()
    assert (info["named_endpoints"], info["unnamed_endpoints"]) == ({}, {})
    for path in ("/gradio_api/call/act", "/gradio_api/run/predict", "/gradio_api/api/act"):
        assert http.post(path, json={"data": []}).status_code == 404


def test_the_page_names_no_outside_host_to_load_from(http):
    page = http.get("/").text
    for host in ("googleapis", "gstatic", "cdnjs", "jsdelivr", "unpkg"):
        assert host not in page
    assert "default-src 'self'" in http.get("/").headers["content-security-policy"]


def test_a_chat_downloads_as_markdown(http, service):
    library = service.library
    chat = library.create_chat(shelf_id(service), 'Bells "and" <b>\r\nSet-Cookie: x')
    library.add_message(chat.id, QUESTION, service.answer(shelf_id(service), QUESTION))
    answer = http.get(f"/chats/{chat.id}.md")
    assert "2.91" in answer.text.replace("\\", "")
    assert "set-cookie" not in answer.headers
    assert unquote(answer.headers["content-disposition"]).startswith("attachment; ")
    assert http.get("/chats/999.md").status_code == 404
