"""One library behind the real server: the API, what the service opens, and the guard."""

import io
import threading
import time
from urllib.parse import unquote

import httpx
import openai
import pytest
import uvicorn

from app.completions import CHAT, completion
from app.library import Library
from app.model_types import Finished, Written
from app.sample import sample_files
from app.security import access_for
from app.server import build_app
from app.service import Gone, NothingToSearch, Service
from app.settings import load_settings
from app.types import AnswerMode, CacheUse
from app.worker import run_worker

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models

ANSWER_TOKENS = 300  # long enough to be stopped in the middle

QUESTION = "How high did the river get at Marl Bridge in December 2024?"
HOSTILE = (
    "<script>alert(1)</script> The bell of Hathersby <img src=x onerror=alert(2)> weighs 40 stone."
)
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """An untrained Jamba: it answers nonsense, but by the real engine."""
    import torch

    import jamba
    from jamba.bpe import train_tokenizer
    from jamba.model import Jamba

    folder = tmp_path_factory.mktemp("model")
    train_tokenizer([QUESTION, HOSTILE] * 3, 340, folder)
    config = jamba.JambaConfig(
        vocab_size=340, hidden_size=32, intermediate_size=48, num_hidden_layers=4,
        num_attention_heads=4, num_key_value_heads=2, attn_layer_period=2, attn_layer_offset=1,
        num_experts=1, num_experts_per_tok=1, max_position_embeddings=4096,
    )  # fmt: skip
    torch.manual_seed(0)
    jamba.save_model(Jamba(config), folder)
    return folder


@pytest.fixture(scope="module")
def service(tmp_path_factory, model_folder):
    home = tmp_path_factory.mktemp("home")
    library = Library.open(home)
    shelf = library.create_collection("Shelf")
    library.create_collection("Empty")
    report = next(path for path in sample_files() if path.suffix == ".pdf")
    library.add_file(shelf.id, report.name, report)
    library.add_file(shelf.id, "<b>bells.txt", io.BytesIO(HOSTILE.encode()))
    run_worker(home, stop=threading.Event(), once=True)
    settings = load_settings(home=home, model=str(model_folder), answer_tokens=ANSWER_TOKENS)
    return Service(settings, library)


@pytest.fixture(scope="module")
def address(service):
    """The server's address; it runs in this process, on a free port, behind a password."""
    app = build_app(service, access_for("127.0.0.1", secret=PASSWORD))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def http(address):
    headers = {"Authorization": f"Bearer {PASSWORD}"}
    with httpx.Client(base_url=address, headers=headers, timeout=120) as client:
        yield client


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key=PASSWORD, max_retries=0) as made:
        yield made


def shelf_id(service):
    return service.library.collections()[0].id


def ask(http, service, **body):
    return http.post(f"/v1/collections/{shelf_id(service)}/ask", json={"question": QUESTION} | body)


def same(answer):
    """An answer without what differs from run to run."""
    return {key: value for key, value in answer.items() if key != "timings"}


def test_an_answer_cites_the_exact_words(http, service):
    answer = ask(http, service).json()
    assert answer["mode"] == "quote"
    cited = answer["citations"][0]
    assert "2.91" in cited["text"]
    assert (cited["document"], cited["page"]) == ("annual-report-2025.pdf", 1)
    text = service.index(shelf_id(service)).text(cited["document_id"])
    assert text[cited["start"] : cited["end"]] == cited["text"]


def test_stream_page_and_whole_answer_are_the_same(http, service):
    from app.schemas import answer_object

    whole = ask(http, service).json()
    lines = [line[6:] for line in ask(http, service, stream=True).text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    events = [httpx.Response(200, content=line).json() for line in lines[:-1]]
    assert events[0]["object"] == "answer.passages"
    streamed = "".join(each["text"] for each in events if each["object"] == "answer.delta")
    assert streamed == events[-1]["answer"] == whole["answer"]
    shown = httpx.Response(200, json=answer_object(service.answer(shelf_id(service), QUESTION)))
    assert same(events[-1]) == same(whole) == same(shown.json())


def test_answers_keep_to_the_documents_named(http, service):
    rows = {row["name"]: row["id"] for row in documents(http, service)}
    answer = ask(http, service, documents=[rows["<b>bells.txt"]]).json()
    assert {each["document"] for each in answer["passages"]} == {"<b>bells.txt"}
    assert ask(http, service, documents=["nothing"]).status_code == 404


def documents(http, service):
    return http.get(f"/v1/collections/{shelf_id(service)}/documents").json()["data"]


def test_collections_and_documents_are_listed(http, service):
    collections = http.get("/v1/collections").json()["data"]
    assert [(each["name"], each["ready"]) for each in collections] == [("Shelf", 2), ("Empty", 0)]
    assert {row["state"] for row in documents(http, service)} == {"ready"}
    assert http.get("/v1/collections/999/documents").status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"temperature": 1}, 400, "temperature"),
        ({"mode": "poem"}, 400, "mode"),
        ({"history": [{"question": "a"}]}, 400, "history.0.answer"),
        ({"question": "   "}, 400, None),
        ({"question": "x" * 9000}, 400, None),
    ],
)
def test_wrong_requests_say_what_is_wrong(http, service, body, status, named):
    answer = ask(http, service, **body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["param"] == named
    assert named is None or named in error["message"]


def test_an_empty_collection_is_a_conflict(http, service):
    empty = service.library.collections()[1].id
    answer = http.post(f"/v1/collections/{empty}/ask", json={"question": QUESTION})
    assert (answer.status_code, "add one" in answer.json()["error"]["message"]) == (409, True)
    with pytest.raises(NothingToSearch):
        service.ask(empty, QUESTION)


def test_unknown_routes_and_broken_json_get_the_envelope(http, service):
    assert http.get("/v1/nothing").json()["error"]["type"] == "not_found_error"
    broken = http.post(f"/v1/collections/{shelf_id(service)}/ask", content=b"{")
    assert broken.status_code == 400


def test_the_openai_client_lists_and_chats(client):
    model = client.models.list().data[0].id
    messages = [{"role": "user", "content": "What weighs 40 stone?"}]
    whole = client.chat.completions.create(model=model, messages=messages)
    assert whole.usage.prompt_tokens > 0
    assert 0 < whole.usage.completion_tokens <= ANSWER_TOKENS
    chunks = list(
        client.chat.completions.create(
            model=model, messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    text = "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.prompt_tokens == whole.usage.prompt_tokens


def test_an_answer_that_was_cut_off_says_so():
    end = Finished(CacheUse(50, 32, "memory"), stopped=False, tokens=7, cut_off=True)
    pieces = iter([Written("It "), Written("is"), end])
    made = completion({"model": "tiny"}, CHAT, [pieces])
    assert made["choices"][0]["finish_reason"] == "length"
    assert made["choices"][0]["message"]["content"] == "It is"
    assert (made["usage"]["completion_tokens"], made["usage"]["total_tokens"]) == (7, 57)
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 32}


def test_documents_of_a_request_are_read(client):
    model = client.models.list().data[0].id
    messages = [{"role": "user", "content": "What weighs 40 stone?"}]
    alone = client.chat.completions.create(model=model, messages=messages)
    given = client.chat.completions.create(
        model=model, messages=messages, extra_body={"documents": [{"text": HOSTILE}]}
    )
    assert given.usage.prompt_tokens > alone.usage.prompt_tokens + 10


def test_the_openai_client_is_told_what_is_not_there(client):
    messages = [{"role": "user", "content": "Hello"}]
    with pytest.raises(openai.NotFoundError, match="no model 'gpt-9'"):
        client.chat.completions.create(model="gpt-9", messages=messages)
    model = client.models.list().data[0].id
    with pytest.raises(openai.BadRequestError, match="presence_penalty: unknown option"):
        client.chat.completions.create(model=model, messages=messages, presence_penalty=0.5)
    with pytest.raises(openai.BadRequestError, match="role"):
        client.chat.completions.create(model=model, messages=[{"role": "system", "content": "x"}])
    twice = [*messages, *messages]
    with pytest.raises(openai.BadRequestError, match="take turns"):
        client.chat.completions.create(model=model, messages=twice)


def test_free_answers_link_or_mark_each_sentence(service):
    answer = service.answer(shelf_id(service), QUESTION, mode=AnswerMode.FREE)
    assert answer.model is not None
    numbers = {citation.number for citation in answer.citations}
    assert all(set(sentence.citations) <= numbers for sentence in answer.sentences)


def test_a_citation_opens_on_its_words(http, service):
    cited = ask(http, service).json()["citations"][0]
    where = (shelf_id(service), cited["document_id"])
    view = service.view(*where, cited["start"], cited["end"], cited["page"])
    assert view.words == cited["text"]
    assert view.has_picture
    image = service.picture(*where, cited["page"], cited["start"], cited["end"])
    assert image.png.startswith(b"\x89PNG")
    assert image.boxes
    assert all(0 <= side <= 1 for box in image.boxes for side in box)


def test_words_that_are_not_there_are_gone(service):
    digest = service.library.documents(shelf_id(service))[0].digest
    for start, end in ((0, 0), (-5, 3), (0, 10**9)):
        with pytest.raises(Gone):
            service.view(shelf_id(service), digest, start, end, None)
    with pytest.raises(Gone, match="removed"):
        service.view(shelf_id(service), "0" * 64, 0, 1, None)


def test_the_page_shows_hostile_words_as_text(service):
    from app.ui import conversation, source

    where = shelf_id(service)
    answer = service.answer(where, "How much does the bell of Hathersby weigh?")
    cited = answer.citations[0]
    shown = conversation.turn(answer) + source.opened(
        service.view(where, cited.document_id, cited.start, cited.end, None)
    )
    assert "40 stone" in shown
    for markup in ("<script", "<img", "<b>"):
        assert markup not in shown
    assert "&lt;script&gt;" in shown


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


def test_an_answer_loses_the_words_of_a_document_removed_meanwhile(service):
    library = service.library
    said = io.BytesIO(b"The lime kiln at Saltry was lit in 1641.")
    row = library.add_file(shelf_id(service), "kiln.txt", said)
    run_worker(library.home, stop=threading.Event(), once=True)
    _, asked = steps(service, "When was the lime kiln at Saltry lit?")
    for step in asked:
        if "passages found" in str(step.live):
            service.remove(row.id)
        last = step
    run_worker(library.home, stop=threading.Event(), once=True)
    assert "1641" not in last.conversation
    assert "removed" in last.conversation
    assert "1641" not in library.export_markdown(last.place.chat)


def test_removing_a_document_leaves_nothing_to_cite(http, service):
    library = service.library
    row = library.add_file(
        shelf_id(service), "tide.txt", io.BytesIO(b"The tide mill was sold in 1788.")
    )
    run_worker(library.home, stop=threading.Event(), once=True)
    question = {"question": "When was the tide mill sold?"}
    assert "1788" in ask(http, service, **question).json()["answer"]
    service.remove(row.id)
    for _ in range(2):  # marked first, and then gone from the index
        answer = ask(http, service, **question).json()
        assert "1788" not in str(answer["passages"]) + answer["answer"]
        run_worker(library.home, stop=threading.Event(), once=True)


def at_shelf(service):
    from app.ui.place import Place

    return Place(shelf_id(service))


def steps(service, question, session="tab", place=None, mode="quote"):
    from app.ui.asking import Asking
    from app.ui.desk import Desk

    asking = Asking(Desk(service, (), frozenset()))
    return asking, asking.ask(place or at_shelf(service), question, mode, (), session)


def test_asking_from_the_page_streams_and_keeps_the_answer(service):
    _, asked = steps(service, f"  {QUESTION} ")
    first, *_, last = asked
    assert "Searching the documents" in first.live
    assert first.question == ""
    assert "2.91" in last.conversation
    assert last.live == ""
    kept = service.library.messages(last.place.chat)
    assert [(each.question, each.answer.mode.value) for each in kept] == [(QUESTION, "quote")]
    assert QUESTION[:20] in last.chats


def test_a_stopped_answer_is_kept_as_stopped(service):
    asking, asked = steps(service, "Which prompt was never read before this one?", mode="free")
    for step in asked:
        asking.stop("another tab")  # stops nothing here
        asking.stop("tab")
        last = step
    assert "stopped" in last.conversation
    assert service.library.messages(last.place.chat)[0].answer.stopped


def test_a_tab_that_went_elsewhere_is_left_alone_and_the_answer_kept(service):
    asking, asked = steps(service, QUESTION, mode="free")
    next(asked)
    here = at_shelf(service)
    empty = str(service.library.collections()[1].id)
    asking.move(here, {"action": "collection", "value": empty}, "tab")
    before = len(service.library.chats(here.collection))
    assert list(asked) == []
    assert len(service.library.chats(here.collection)) == before + 1


def test_a_question_that_fails_says_so_and_comes_back_to_the_box(service):
    from app.ui.place import Place

    _, asked = steps(service, "Anything?", place=Place(service.library.collections()[1].id))
    *_, last = asked
    assert "add one first" in last.live
    assert last.question == "Anything?"


def test_one_answer_a_tab_at_a_time(service):
    asking, asked = steps(service, QUESTION)
    next(asked)
    assert list(asking.ask(at_shelf(service), QUESTION, "quote", (), "tab")) == []
    assert list(asking.ask(at_shelf(service), QUESTION, "quote", (), "other tab")) != []
    assert list(asked) != []
