"""The API: OpenAI's chat completions, and collections with cited answers, under /v1."""

import json
import logging
import time
import uuid
from collections.abc import Iterator
from itertools import chain
from threading import Event as Signal
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException

from app.library import NotFound
from app.model_types import Finished, LanguageModel, ModelError
from app.prompt import Reading
from app.schemas import (
    AskRequest,
    ChatDocument,
    ChatRequest,
    answer_object,
    collection_object,
    document_object,
    list_object,
    passage_object,
)
from app.service import Gone, NothingToSearch, Service
from app.types import Done, Event, OrbweaverError, Retrieved, RetrievedPassage, TextDelta
from retrieval.types import RetrievalError

log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "not_found_error"),
    (Gone, 404, "not_found_error"),
    (NothingToSearch, 409, "invalid_request_error"),
    (ModelError, 502, "api_error"),
    (OrbweaverError, 400, "invalid_request_error"),
)


def add_api(app: FastAPI, service: Service) -> None:
    """Put the API's routes and its error envelope into `app`."""
    app.include_router(_collections(service), prefix="/v1")
    app.include_router(_models(service), prefix="/v1")
    app.get("/healthz")(lambda: {"status": "ok"})
    app.add_exception_handler(RequestValidationError, _refuse_request)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(OrbweaverError, _tell)
    app.add_exception_handler(RetrievalError, _tell)


def _collections(service: Service) -> APIRouter:
    router, library = APIRouter(), service.library

    @router.get("/collections")
    def collections() -> dict[str, Any]:
        return list_object([collection_object(each) for each in library.collections()])

    @router.get("/collections/{collection_id}/documents")
    def documents(collection_id: int) -> dict[str, Any]:
        library.collection(collection_id)  # raises NotFound
        return list_object([document_object(each) for each in library.documents(collection_id)])

    @router.post("/collections/{collection_id}/ask")
    def ask(collection_id: int, body: AskRequest) -> Response:
        cancel = Signal()
        events = service.ask(
            collection_id,
            body.question,
            mode=body.answer_mode(),
            documents=body.documents,
            history=[(turn.question, turn.answer) for turn in body.history],
            cancel=cancel,
        )
        if body.stream:
            return _stream(map(_event_line, _started(events)), cancel)
        return JSONResponse(answer_object(_last(events)))

    return router


def _models(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/models")
    def models() -> dict[str, Any]:
        return list_object([_model_object(service.models.language_model())])

    @router.post("/chat/completions")
    def chat(body: ChatRequest) -> Response:
        model, cancel = service.models.language_model(), Signal()
        if body.model != model.name:
            raise NotFound(f"there is no model '{body.model}'; this server has '{model.name}'")
        pieces = _started(model.generate(_reading(body), cancel))
        if body.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return _stream(_chunks(model.name, pieces, usage), cancel)
        return JSONResponse(completion(model.name, list(pieces)))

    return router


def _reading(body: ChatRequest) -> Reading:
    """What the model reads. Raises OrbweaverError where the messages are no conversation."""
    from app.followup import Turn

    roles = [message.role for message in body.messages]
    if roles != (["user", "assistant"] * len(roles))[: len(roles)] or roles[-1] != "user":
        raise OrbweaverError("messages: user and assistant take turns, and the user's comes last")
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


def _last(events: Iterator[Event]) -> Any:
    return next(event.answer for event in events if isinstance(event, Done))


def _started(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, the first of them made: what is wrong is an error, not half a stream."""
    first = next(items, None)
    return chain([] if first is None else [first], items)


def _stream(lines: Iterator[dict[str, Any]], cancel: Signal) -> StreamingResponse:
    return StreamingResponse(_sent(lines, cancel), media_type="text/event-stream")


def _sent(lines: Iterator[dict[str, Any]], cancel: Signal) -> Iterator[str]:
    """Server-sent events; when nobody listens any more, the answer is cancelled."""
    try:
        for line in lines:
            yield f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"
    except Exception as error:  # the status is sent already
        status, body = _described(error)
        yield f"data: {json.dumps(body | {'status': status}, ensure_ascii=False)}\n\n"
    finally:
        cancel.set()


def _event_line(event: Event) -> dict[str, Any]:
    if isinstance(event, Retrieved):
        passages = [passage_object(each) for each in event.passages]
        return {"object": "answer.passages", "searched": event.searched, "passages": passages}
    if isinstance(event, TextDelta):
        return {"object": "answer.delta", "text": event.text}
    return answer_object(event.answer)


def completion(model: str, pieces: list[str | Finished]) -> dict[str, Any]:
    """A whole chat completion in OpenAI's shape, from what a model made."""
    text = "".join(piece for piece in pieces if isinstance(piece, str))
    end = next(piece for piece in pieces if isinstance(piece, Finished))
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": _why(end), "logprobs": None}
    return _envelope("chat.completion", model) | {"choices": [choice], "usage": _usage(end)}


def _chunks(model: str, pieces: Iterator[str | Finished], usage: bool) -> Iterator[dict[str, Any]]:
    envelope = _envelope("chat.completion.chunk", model)

    def chunk(delta: dict[str, str], why: str | None = None) -> dict[str, Any]:
        return envelope | {"choices": [{"index": 0, "delta": delta, "finish_reason": why}]}

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces:
        if isinstance(piece, str):
            yield chunk({"content": piece})
            continue
        yield chunk({}, _why(piece))
        if usage:
            yield envelope | {"choices": [], "usage": _usage(piece)}


def _envelope(kind: str, model: str) -> dict[str, Any]:
    id = f"chatcmpl-{uuid.uuid4().hex}"
    return {"id": id, "object": kind, "created": int(time.time()), "model": model}


def _why(end: Finished) -> str:
    return "length" if end.cut_off else "stop"


def _usage(end: Finished) -> dict[str, Any]:
    """OpenAI's counts; a remote server may not have said how many tokens it wrote."""
    prompt, written = end.cache.prompt_tokens, end.tokens or 0
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": end.cache.cached_tokens},
    }


def _model_object(model: LanguageModel) -> dict[str, Any]:
    return {"id": model.name, "object": "model", "created": 0, "owned_by": "orbweaver"}


def _described(error: Exception) -> tuple[int, dict[str, Any]]:
    """An exception as a status and OpenAI's envelope; ours are told, others are only logged."""
    for kind, status, type_ in STATUS:
        if isinstance(error, kind):
            return status, _error(str(error), type_)
    log.exception("request failed", exc_info=error)
    return 500, _error("the server failed; its terminal says why", "api_error")


def _error(message: str, type_: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": param, "code": None}}


def _tell(request: Request, error: Exception) -> JSONResponse:
    status, body = _described(error)
    return JSONResponse(body, status_code=status)


def _refuse_request(request: Request, error: Exception) -> JSONResponse:
    """A body that is not what it should be: a 400 that names the first wrong option."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"] if part != "body")
    said = "unknown option" if first["type"] == "extra_forbidden" else first["msg"]
    body = _error(f"{param}: {said}" if param else said, "invalid_request_error", param or None)
    return JSONResponse(body, status_code=400)


def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    body = _error(str(error.detail), "invalid_request_error")
    return JSONResponse(body, status_code=error.status_code)
