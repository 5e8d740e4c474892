"""OpenAI's completions of chats and of plain text, written by the language model."""

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from threading import Event as Signal
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from app.answering.prompt import Reading
from app.library import NotFound
from app.models.model_types import Finished, LanguageModel, Token, Written
from app.serving.replies import Awaited, BadOption, started, stream
from app.serving.schemas import (
    ChatDocument,
    ChatRequest,
    CompletionRequest,
    WritingOptions,
    list_object,
)
from app.types import RetrievedPassage

Choice = Iterator[Written | Finished]  # one of the `n` texts of a completion


def completions(language_model: Callable[[], LanguageModel]) -> APIRouter:
    """The routes of the language model, which may still be loading."""
    router = APIRouter()

    def named(name: str) -> LanguageModel:
        model = language_model()
        if name != model.name:
            raise NotFound(f"there is no model '{name}'; this server has '{model.name}'")
        return model

    @router.get("/models")
    def models() -> dict[str, Any]:
        return list_object([_model_object(language_model())])

    @router.get("/models/{name:path}")
    def model(name: str) -> dict[str, Any]:
        return _model_object(named(name))

    @router.post("/chat/completions")
    async def chat(body: ChatRequest) -> Response:
        return Awaited(lambda gone: _reply(body, named(body.model), _reading(body), CHAT, gone))

    @router.post("/completions")
    async def complete(body: CompletionRequest) -> Response:
        return Awaited(lambda gone: _reply(body, named(body.model), body.prompt, TEXT, gone))

    return router


def _reply(
    body: WritingOptions,
    model: LanguageModel,
    prompt: Reading | str,
    shape: "Shape",
    cancel: Signal,
) -> Response:
    choices = _choices(model, prompt, body, cancel)
    envelope = {
        "id": f"{shape.prefix}-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": model.name,
    }
    if body.stream:
        usage = body.stream_options is not None and body.stream_options.include_usage
        return stream(chunks(envelope, shape, choices, usage))
    return JSONResponse(completion(envelope, shape, choices))


def _choices(
    model: LanguageModel, prompt: Reading | str, body: WritingOptions, cancel: Signal
) -> list[Choice]:
    """The texts as they are made; the first has begun, so the others go on from its snapshot."""
    how = body.writing()
    first = started(model.write(prompt, how, cancel, body.user))
    seeds = [None if how.seed is None else how.seed + each for each in range(1, body.n)]
    rest = [model.write(prompt, replace(how, seed=seed), cancel, body.user) for seed in seeds]
    return [first, *rest]


class _Chat:
    """The shape of a chat's completion."""

    prefix, kind, chunk_kind = "chatcmpl", "chat.completion", "chat.completion.chunk"

    def opening(self) -> dict[str, Any] | None:
        return {"delta": {"role": "assistant", "content": ""}}

    def whole(self, text: str) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": text}}

    def piece(self, text: str) -> dict[str, Any]:
        return {"delta": {"content": text} if text else {}}

    def logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        return {
            "content": [
                _scored(token) | {"top_logprobs": [*map(_scored, token.top)]} for token in tokens
            ]
        }


class _Text:
    """The shape of a plain text's completion."""

    prefix, kind, chunk_kind = "cmpl", "text_completion", "text_completion"

    def opening(self) -> dict[str, Any] | None:
        return None

    def whole(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def piece(self, text: str) -> dict[str, Any]:
        return {"text": text}

    def logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        return {
            "tokens": [token.text for token in tokens],
            "token_logprobs": [token.logprob for token in tokens],
            "top_logprobs": [{each.text: each.logprob for each in token.top} for token in tokens],
        }


Shape = _Chat | _Text
CHAT, TEXT = _Chat(), _Text()


def completion(envelope: dict[str, Any], shape: Shape, choices: Sequence[Choice]) -> dict[str, Any]:
    """A whole completion in OpenAI's shape, from what a model made."""
    made, ends = [], []
    for index, choice in enumerate(choices):
        pieces = list(choice)
        written = [piece for piece in pieces if isinstance(piece, Written)]
        end = next(piece for piece in pieces if isinstance(piece, Finished))
        tokens = [token for piece in written for token in piece.tokens]
        text = shape.whole("".join(piece.text for piece in written))
        made.append(
            {"index": index, **text, "finish_reason": _why(end)}
            | {"logprobs": shape.logprobs(tokens) if tokens else None}
        )
        ends.append(end)
    return envelope | {"object": shape.kind, "choices": made, "usage": _usage(ends)}


def chunks(
    envelope: dict[str, Any], shape: Shape, choices: Sequence[Choice], usage: bool
) -> Iterator[dict[str, Any]]:
    """The same as a stream: one text after another, the usage last."""
    envelope = envelope | {"object": shape.chunk_kind}

    def chunk(index: int, change: dict[str, Any], why: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "logprobs": None, **change, "finish_reason": why}
        return envelope | {"choices": [choice]}

    ends = []
    for index, choice in enumerate(choices):
        if opening := shape.opening():
            yield chunk(index, opening)
        for piece in choice:
            if isinstance(piece, Finished):
                ends.append(piece)
                yield chunk(index, shape.piece(""), _why(piece))
            elif piece.text or piece.tokens:
                scores = {"logprobs": shape.logprobs(piece.tokens)} if piece.tokens else {}
                yield chunk(index, shape.piece(piece.text) | scores)
    if usage:
        yield envelope | {"choices": [], "usage": _usage(ends)}


def _reading(body: ChatRequest) -> Reading:
    """What the model reads. Raises BadOption where the messages are no conversation."""
    from app.answering.followup import Turn

    roles = [message.role for message in body.messages]
    if roles != (["user", "assistant"] * len(roles))[: len(roles)] or roles[-1] != "user":
        raise BadOption("messages", "user and assistant take turns, and the user's comes last")
    said = [message.content for message in body.messages]
    history = tuple(Turn(*pair) for pair in zip(said[:-1:2], said[1::2], strict=True))
    passages = tuple(_passage(each, number) for number, each in enumerate(body.documents))
    return Reading(said[-1], passages, history)


def _passage(document: ChatDocument, number: int) -> RetrievedPassage:
    """A document of the request as the prompt takes passages; it belongs to no collection."""
    id, end = f"request#{number}", len(document.text)
    return RetrievedPassage(
        id, "request", document.title, document.title, document.text, None, 0, end, 0.0, {}
    )


def _scored(token: Token) -> dict[str, Any]:
    """A token with its log probability; no bytes where it is only a part of a character."""
    is_whole = "\ufffd" not in token.text
    spelled = list(token.text.encode()) if is_whole else None
    return {"token": token.text, "logprob": token.logprob, "bytes": spelled}


def _why(end: Finished) -> str:
    return "length" if end.cut_off else "stop"


def _usage(ends: Sequence[Finished]) -> dict[str, Any]:
    """OpenAI's counts; a remote server may not have said how many tokens it wrote."""
    prompt, written = ends[0].cache.prompt_tokens, sum(end.tokens or 0 for end in ends)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": ends[0].cache.cached_tokens},
    }


def _model_object(model: LanguageModel) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "orbweaver"}
