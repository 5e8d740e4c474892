"""A streamed answer, a whole one and the one that the page shows are the same."""

import httpx
import pytest

from tests.app.serving.api.shelf import QUESTION, ask, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def test_stream_page_and_whole_answer_are_the_same(http, service):
    from app.serving.schemas import answer_object

    whole = ask(http, service).json()
    lines = [line[6:] for line in ask(http, service, stream=True).text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    events = [httpx.Response(200, content=line).json() for line in lines[:-1]]
    assert events[0]["object"] == "answer.passages"
    streamed = "".join(each["text"] for each in events if each["object"] == "answer.delta")
    assert streamed == events[-1]["answer"] == whole["answer"]
    shown = httpx.Response(200, json=answer_object(service.answer(shelf_id(service), QUESTION)))
    assert same(events[-1]) == same(whole) == same(shown.json())


def test_an_answer_checked_twice_tells_a_program_so(http, service):
    reply = ask(http, service, mode="free", twice=True, stream=True).text
    lines = [line[6:] for line in reply.split("\n\n") if line]
    events = [httpx.Response(200, content=line).json() for line in lines[:-1]]
    doing = [each for each in events if each["object"] == "answer.checking"]
    assert [(each["drafts"], each["differ"]) for each in doing] == [(3, False), (3, True)]
    assert events[-1]["check"]["drafts"] == 3
    assert events[-1]["answer"] == "".join(each.get("text", "") for each in events[1:-1]).strip()
    refused = ask(http, service, mode="quote", twice=True)
    assert (refused.status_code, "only free answers" in refused.text) == (400, True)
    assert ask(http, service, mode="free", thrice=True).status_code == 400


def same(answer):
    """An answer without what differs from run to run."""
    return {key: value for key, value in answer.items() if key != "timings"}
