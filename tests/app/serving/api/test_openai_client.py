"""The language model through OpenAI's own client."""

import openai
import pytest

from app.models.model_types import Finished, Written
from app.serving.body_limit import BODY_BYTES
from app.serving.completions import CHAT, completion
from app.types import CacheUse
from tests.app.serving.api.shelf import ANSWER_TOKENS, HOSTILE

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


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


def test_documents_of_a_request_are_read(client):
    model = client.models.list().data[0].id
    messages = [{"role": "user", "content": "What weighs 40 stone?"}]
    alone = client.chat.completions.create(model=model, messages=messages)
    given = client.chat.completions.create(
        model=model, messages=messages, extra_body={"documents": [{"text": HOSTILE}]}
    )
    assert given.usage.prompt_tokens > alone.usage.prompt_tokens + 10


def test_an_answer_that_was_cut_off_says_so():
    end = Finished(CacheUse(50, 32, "memory"), stopped=False, tokens=7, cut_off=True)
    pieces = iter([Written("It "), Written("is"), end])
    made = completion({"model": "tiny"}, CHAT, [pieces])
    assert made["choices"][0]["finish_reason"] == "length"
    assert made["choices"][0]["message"]["content"] == "It is"
    assert (made["usage"]["completion_tokens"], made["usage"]["total_tokens"]) == (7, 57)
    assert made["usage"]["prompt_tokens_details"] == {"cached_tokens": 32}


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


def test_a_request_beyond_the_limit_is_refused_before_it_is_read(client):
    messages = [{"role": "user", "content": "x" * (BODY_BYTES + 1)}]
    with pytest.raises(openai.APIStatusError, match="larger than 8 MiB") as refused:
        client.chat.completions.create(model="any", messages=messages)
    assert refused.value.status_code == 413
    assert refused.value.code == "request_too_large"
