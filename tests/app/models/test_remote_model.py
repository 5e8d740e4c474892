"""The remote model against a real HTTP server that speaks the protocol."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse

from app.answering.prompt import Reading
from app.models.model_types import Finished, ModelError, PromptError, Writing
from app.models.resolve import resolve
from app.types import CacheUse, RetrievedPassage
from tests.app.in_process import serving

PASSAGE = RetrievedPassage("d#0", "d", "a.txt", "Bridge", "It opened in 1911.", 1, 0, 18, 1.0, {})
READING = Reading("When did it open?", (PASSAGE,))


def make_app(seen):
    app = FastAPI()

    @app.get("/v1/models")
    def models():
        return {"object": "list", "data": [{"id": "tiny", "object": "model"}]}

    @app.post("/v1/chat/completions")
    async def chat(request: Request):
        body = await request.json()
        seen.append((dict(request.headers), body))
        if body["model"] == "broken":
            return JSONResponse({"error": {"message": "no such model"}}, status_code=404)
        if body["model"] == "private":
            return JSONResponse({"error": {"message": "key?"}}, status_code=401)
        return StreamingResponse(stream(body["model"]), media_type="text/event-stream")

    async def stream(model: str) -> AsyncIterator[str]:
        if model == "silent":
            await asyncio.sleep(3)
            return
        if model == "mad":
            yield "data: {nonsense\n\n"
            return
        if model == "short":
            yield f"data: {json.dumps({'choices': [{'delta': {'content': 'It'}}]})}\n\n"
            end = {"choices": [{"delta": {}, "finish_reason": "length"}]}
            used = {"prompt_tokens": 50, "completion_tokens": 1}
            yield f"data: {json.dumps(end | {'usage': used})}\n\n"
            return
        for piece in ["It opened ", "in 1911."] if model == "tiny" else ["more "] * 10_000:
            yield f"data: {json.dumps({'choices': [{'delta': {'content': piece}}]})}\n\n"
        usage = {"prompt_tokens": 50, "prompt_tokens_details": {"cached_tokens": 32}}
        yield f": a comment\n\ndata: {json.dumps({'choices': [], 'usage': usage})}\n\n"
        yield "data: [DONE]\n\n"

    return app


@pytest.fixture(scope="module")
def served():
    seen = []
    with serving(make_app(seen)) as address:
        yield address, seen


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    monkeypatch.delenv("ORBWEAVER_MODEL_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def generate(url, cancel=None):
    model = resolve(url)
    try:
        *pieces, end = model.generate(READING, cancel)
        return pieces, end
    finally:
        model.close()


def test_an_answer_streams_with_its_usage(served):
    url, seen = served
    model = resolve(url)
    assert (model.name, model.is_remote) == ("tiny", True)
    assert model.notice == f"Passages are sent to {url.removeprefix('http://')}."
    model.close()
    pieces, end = generate(url + "/v1/")
    assert pieces == ["It opened ", "in 1911."]
    assert end == Finished(CacheUse(50, 32, "none"), stopped=False)
    headers, body = seen[-1]
    assert "authorization" not in headers
    assert "It opened in 1911." in body["messages"][0]["content"]
    assert body["messages"][-1] == {"role": "user", "content": "When did it open?"}


def test_an_answer_that_was_cut_off_says_so(served):
    _, end = generate(served[0] + "/v1#short")
    assert (end.tokens, end.cut_off, end.cache.written_tokens) == (1, True, 1)


def test_a_chat_goes_whole_and_an_answers_passages_as_far_as_they_fit(served):
    url, seen = served
    long = replace(PASSAGE, text="It opened in 1911. " * 2000)
    model = resolve(url)
    list(model.write(Reading("When?", (long,)), Writing()))
    assert long.text in seen[-1][1]["messages"][0]["content"]
    list(model.generate(Reading("When?", (long, PASSAGE))))
    said = seen[-1][1]["messages"][0]["content"]
    assert PASSAGE.text in said
    assert long.text not in said
    model.close()


def test_how_it_is_written_is_passed_on_or_refused(served):
    url, seen = served
    model = resolve(url)
    list(model.write(READING, Writing(temperature=0.7, seed=3)))
    assert (seen[-1][1]["temperature"], seen[-1][1]["seed"]) == (0.7, 3)
    with pytest.raises(PromptError, match="top_k: not passed on to"):
        list(model.write(READING, Writing(top_k=3)))
    model.close()


def test_the_key_comes_from_the_environment(served, monkeypatch):
    url, seen = served
    monkeypatch.setenv("OPENAI_API_KEY", "another service's")
    generate(url)
    assert "authorization" not in seen[-1][0]
    monkeypatch.setenv("ORBWEAVER_MODEL_KEY", "ours")
    generate(url)
    assert seen[-1][0]["authorization"] == "Bearer ours"


def test_cancel_stops_the_stream(served):
    cancel = threading.Event()
    model = resolve(served[0] + "/v1#endless")
    stream = model.generate(READING, cancel)
    assert next(stream) == "more "
    cancel.set()
    rest = list(stream)
    assert rest[-1].stopped
    assert len(rest) < 100
    model.close()


def test_cancel_does_not_wait_for_a_silent_server(served):
    cancel = threading.Event()
    threading.Timer(0.2, cancel.set).start()
    started = time.monotonic()
    pieces, end = generate(served[0] + "/v1#silent", cancel)
    assert (pieces, end.stopped) == ([], True)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize(
    ("name", "said"),
    [("broken", "404: no such model"), ("private", "ORBWEAVER_MODEL_KEY"), ("mad", "not JSON")],
)
def test_what_goes_wrong_is_said_in_one_line(served, name, said):
    with pytest.raises(ModelError, match=said) as caught:
        generate(f"{served[0]}/v1#{name}")
    assert "127.0.0.1" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there():
    with pytest.raises(ModelError, match=r"127\.0\.0\.1:9.*cannot be reached"):
        resolve("http://127.0.0.1:9/v1")
    with pytest.raises(ModelError, match="address of a server"):
        resolve("http:///v1")


def test_a_page_that_is_no_model_server(served):
    with pytest.raises(ModelError, match="404"):
        resolve(served[0] + "/elsewhere")
