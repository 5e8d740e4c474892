"""Completions of chats and of plain text, asked for by the real openai client over a socket."""

import json
import time

import httpx
import openai
import pytest
from fastapi import FastAPI

from app.models.model_types import Finished, Written
from app.serving.completions import CHAT, completion, completions
from app.serving.replies import add_errors
from app.types import CacheUse
from tests.app.in_process import serving

PROMPT = "The Orchard Bridge was opened"
MESSAGES = [{"role": "user", "content": "Who designed the bridge?"}]


@pytest.fixture(scope="module")
def address(tiny_model):
    app = FastAPI()
    app.include_router(completions(lambda: tiny_model), prefix="/v1")
    add_errors(app)
    with serving(app) as root:
        yield f"{root}/v1"


@pytest.fixture
def client(address):
    with openai.OpenAI(base_url=address, api_key="none", max_retries=0) as made:
        yield made


def chat(client, **options):
    return client.chat.completions.create(model="tiny", messages=MESSAGES, **options)


def complete(client, prompt=PROMPT, **options):
    return client.completions.create(model="tiny", prompt=prompt, **options)


def test_a_seed_repeats_a_completion_and_others_differ(client):
    def drawn(seed):
        return complete(client, seed=seed, temperature=1.5, max_tokens=20).choices[0].text

    assert drawn(4) == drawn(4)
    assert len({drawn(seed) for seed in range(4)}) > 1


def test_usage_and_the_reason_of_the_end(client):
    made = complete(client, max_tokens=5, logit_bias={"2": -100})
    assert (made.object, made.choices[0].finish_reason) == ("text_completion", "length")
    assert made.usage.completion_tokens == 5
    assert made.usage.total_tokens == made.usage.prompt_tokens + 5
    again = complete(client, max_tokens=5, logit_bias={"2": -100})
    assert again.usage.prompt_tokens_details.cached_tokens == again.usage.prompt_tokens
    assert again.choices[0].text == made.choices[0].text


@pytest.mark.parametrize("ask", [chat, complete])
def test_several_choices_streamed_and_whole_are_the_same(client, ask):
    options = {"n": 3, "seed": 7, "temperature": 1.2, "max_tokens": 12}
    whole = ask(client, **options)
    texts, ends = ["", "", ""], [None, None, None]
    stream = ask(client, stream=True, stream_options={"include_usage": True}, **options)
    *chunks, last = stream
    for chunk in chunks:
        choice = chunk.choices[0]
        texts[choice.index] += (choice.delta.content if ask is chat else choice.text) or ""
        ends[choice.index] = choice.finish_reason or ends[choice.index]
    said = [each.message.content if ask is chat else each.text for each in whole.choices]
    assert texts == said
    assert ends == [each.finish_reason for each in whole.choices]
    assert len(set(said)) > 1
    assert last.usage.completion_tokens == whole.usage.completion_tokens
    alone = ask(client, **options | {"n": 1, "seed": 8})
    assert (alone.choices[0].message.content if ask is chat else alone.choices[0].text) == said[1]


def test_logprobs_of_a_chat(client):
    choice = chat(client, logprobs=True, top_logprobs=3, max_tokens=6).choices[0]
    entries = choice.logprobs.content
    assert entries
    for entry in entries:
        assert entry.logprob <= 0
        assert len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob == pytest.approx(entry.logprob)  # greedy
        assert entry.bytes is None or bytes(entry.bytes).decode() == entry.token
    chunks = list(chat(client, logprobs=True, top_logprobs=3, max_tokens=6, stream=True))
    streamed = [
        entry
        for chunk in chunks
        if chunk.choices[0].logprobs
        for entry in chunk.choices[0].logprobs.content
    ]
    assert [each.logprob for each in streamed] == [each.logprob for each in entries]
    assert chat(client, max_tokens=6).choices[0].logprobs is None


def test_logprobs_of_a_completion(client):
    logprobs = complete(client, logprobs=2, max_tokens=6).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.top_logprobs)
    assert all(1 <= len(top) <= 2 for top in logprobs.top_logprobs)


def test_stop_strings_and_ids_end_a_text(client):
    text = complete(client, max_tokens=20).choices[0].text
    cut = text[3:6]
    stopped = complete(client, max_tokens=20, stop=[cut, "\x00never"]).choices[0]
    assert (stopped.text, stopped.finish_reason) == (text[: text.index(cut)], "stop")
    streamed = complete(client, max_tokens=20, stop=cut, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == stopped.text
    first = complete(client, max_tokens=1, logit_bias={"9": 100})
    assert first.usage.completion_tokens == 1
    none = complete(client, logit_bias={"9": 100}, extra_body={"stop_token_ids": [9]})
    assert (none.choices[0].text, none.usage.completion_tokens) == ("", 0)


def test_options_that_are_not_openais(client):
    wild = {"temperature": 2.0, "seed": 1, "max_tokens": 12}
    greedy = complete(client, max_tokens=12).choices[0].text
    for narrowed in ({"top_k": 1}, {"min_p": 1.0}):
        assert complete(client, extra_body=narrowed, **wild).choices[0].text == greedy
    plain = complete(client, max_tokens=40).choices[0].text
    varied = complete(client, max_tokens=40, extra_body={"repetition_penalty": 10.0})
    assert varied.choices[0].text != plain


def test_an_answer_that_was_cut_off_says_so():
    end = Finished(CacheUse(50, 32, "memory"), stopped=False, tokens=7, cut_off=True)
    made = completion({"model": "tiny"}, CHAT, [iter([Written("It "), Written("is"), end])])
    assert made["choices"][0]["finish_reason"] == "length"
    assert made["choices"][0]["message"]["content"] == "It is"
    assert (made["usage"]["completion_tokens"], made["usage"]["total_tokens"]) == (7, 57)
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 32}


def test_documents_are_read_before_the_question(client):
    alone = chat(client, max_tokens=4)
    told = {"documents": [{"title": "Bridges", "text": "Anna Kern designed the bridge."}]}
    given = chat(client, max_tokens=4, extra_body=told)
    assert given.usage.prompt_tokens > alone.usage.prompt_tokens + 5


def test_what_does_not_fit_is_refused_and_never_left_out(client):
    long = {"documents": [{"text": "Anna Kern designed the bridge. " * 400}]}
    with pytest.raises(openai.BadRequestError, match="tiny reads at most 800 of a prompt"):
        chat(client, extra_body=long)
    said = [{"role": "user", "content": "And the bridge? " * 400}]
    with pytest.raises(openai.BadRequestError, match="reads at most 800"):
        client.chat.completions.create(model="tiny", messages=said)


def test_null_leaves_an_option_out(client):
    plain = chat(client, max_tokens=4).choices[0].message.content
    nothing = {"n": None, "temperature": None, "stream": None, "user": None, "logprobs": None}
    assert chat(client, max_tokens=4, **nothing).choices[0].message.content == plain


def test_a_model_is_found_by_its_name(client):
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError, match="there is no model 'huge'"):
        client.models.retrieve("huge")


@pytest.mark.parametrize(
    ("body", "said", "param"),
    [
        (b'{"model": "tiny",', "the body is not JSON", None),
        (b'{"model": "tiny", "prompt": "a", "stop": 5}', "stop: ", "stop"),
    ],
)
def test_what_is_wrong_with_a_body_is_said_in_its_own_words(address, body, said, param):
    answer = httpx.post(
        f"{address}/completions", content=body, headers={"Content-Type": "application/json"}
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, param)
    assert error["message"].startswith(said)


def test_an_engine_that_fails_is_a_502(client, monkeypatch):
    def fail(*args):
        yield from ()
        raise RuntimeError("out of memory")

    monkeypatch.setattr("jamba.tokens.text.stream_text", fail)
    with pytest.raises(openai.InternalServerError, match="tiny: out of memory"):
        complete(client)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"tools": []}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"temperature": 9}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"n": 100}, "n"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["x"] * 99}, "stop"),
        ({"logit_bias": {"5": 1000}}, "logit_bias"),
        ({"logit_bias": {"999999": 1}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"beam_width": 3}}, "beam_width"),
        ({"extra_body": {"top_k": 0}}, "top_k"),
    ],
)
def test_wrong_and_unknown_options_are_named(client, options, named):
    with pytest.raises(openai.BadRequestError, match=named):
        chat(client, **options)


def test_a_prompt_that_is_too_long_is_the_callers_mistake(client):
    with pytest.raises(openai.BadRequestError, match="fewer than 4096"):
        complete(client, prompt="Bridge and river " * 2000)


def test_a_full_queue_is_a_429_that_says_when_to_come_again(tiny_model, address, monkeypatch):
    from jamba.scheduler import QueueFull

    def full(*args, **more):
        raise QueueFull("2 requests are waiting, which is the limit; try again later")

    monkeypatch.setattr(tiny_model._engine, "submit", full)
    answer = httpx.post(f"{address}/completions", json={"model": "tiny", "prompt": "a"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json()["error"]["type"] == "rate_limit_error"


def test_a_client_that_leaves_cancels_all_it_asked_for(tiny_model, address):
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 4000, "n": 3, "stream": True}
    body |= {"logit_bias": {"2": -100}, "stop_token_ids": []}
    with httpx.stream("POST", f"{address}/completions", json=body, timeout=60) as answer:
        line = next(line for line in answer.iter_lines() if line)
        assert json.loads(line[6:])["choices"][0]["index"] == 0
    deadline = time.monotonic() + 30
    while tiny_model._engine._scheduler.requests and time.monotonic() < deadline:
        time.sleep(0.05)
    assert tiny_model._engine._scheduler.requests == ()


def test_a_client_that_waits_no_longer_cancels_what_it_asked_for(tiny_model, address, monkeypatch):
    asked, submit = [], tiny_model._engine.submit

    def kept(*args, **more):
        asked.append(submit(*args, **more))
        return asked[-1]

    monkeypatch.setattr(tiny_model._engine, "submit", kept)
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 4000, "logit_bias": {"2": -100}}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{address}/completions", json=body, timeout=0.3)
    deadline = time.monotonic() + 30
    while not asked[0].is_stopped and time.monotonic() < deadline:
        time.sleep(0.05)
    assert asked[0].finish_reason == "cancelled"
