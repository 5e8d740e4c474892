"""What goes back over the wire: streams of events, and errors in OpenAI's envelope."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from threading import Event as Signal
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from app.library import NotFound
from app.models.model_types import ModelBusy, ModelError
from app.serving.service import Gone, NothingToSearch
from app.types import OrbweaverError
from retrieval.types import RetrievalError

log = logging.getLogger(__name__)

TYPE_NAMES = ("str", "list[str]")  # stand in the place of an option that may be either
RETRY_SECONDS = "2"  # what a client is told to wait when the queue is full

STATUS: tuple[tuple[type[Exception], int, str], ...] = (
    (NotFound, 404, "not_found_error"),
    (Gone, 404, "not_found_error"),
    (NothingToSearch, 409, "invalid_request_error"),
    (ModelBusy, 429, "rate_limit_error"),
    (ModelError, 502, "api_error"),
    (OrbweaverError, 400, "invalid_request_error"),
)


def add_errors(app: FastAPI) -> None:
    """Give every error of `app` the envelope and its status."""
    app.add_exception_handler(RequestValidationError, _refuse_request)
    app.add_exception_handler(HTTPException, _refuse_route)
    app.add_exception_handler(OrbweaverError, _tell)
    app.add_exception_handler(RetrievalError, _tell)
    app.add_exception_handler(Exception, _apologise)


class BadOption(OrbweaverError):
    """An option has a value that it cannot have here; `param` names it."""

    def __init__(self, param: str, said: str) -> None:
        super().__init__(f"{param}: {said}")
        self.param = param


class Awaited(Response):
    """A reply that is made in a thread while its client waits.

    `make` gets a flag that is set as soon as the client has left, or has everything.
    """

    def __init__(self, make: Callable[[Signal], Response]) -> None:
        super().__init__()
        self._make, self._cancel = make, Signal()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make the reply and send it."""
        watch = asyncio.create_task(self._watch(receive))
        try:
            reply = await run_in_threadpool(self._make, self._cancel)
            if not self._cancel.is_set():
                await reply(scope, receive, send)
        finally:
            self._cancel.set()
            watch.cancel()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._cancel.set()


def started(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, the first of them made: what is wrong is an error, not half a stream."""
    first = next(items, None)
    return chain([] if first is None else [first], items)


def stream(lines: Iterator[dict[str, Any]]) -> StreamingResponse:
    """Server-sent events."""
    return StreamingResponse(_sent(lines), media_type="text/event-stream")


def error_object(message: str, type_: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error envelope."""
    return {"error": {"message": message, "type": type_, "param": param, "code": None}}


FAILED = error_object("the server failed; its terminal says why", "api_error")


def described(error: Exception) -> tuple[int, dict[str, Any]]:
    """An exception as a status and OpenAI's envelope; ours are told, others are only logged."""
    for kind, status, type_ in STATUS:
        if isinstance(error, kind):
            return status, error_object(str(error), type_, getattr(error, "param", None))
    log.exception("request failed", exc_info=error)
    return 500, FAILED


def _sent(lines: Iterator[dict[str, Any]]) -> Iterator[str]:
    try:
        for line in lines:
            yield f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"
    except Exception as error:  # the status is sent already
        status, body = described(error)
        yield f"data: {json.dumps(body | {'status': status}, ensure_ascii=False)}\n\n"


def _tell(request: Request, error: Exception) -> JSONResponse:
    status, body = described(error)
    headers = {"Retry-After": RETRY_SECONDS} if status == 429 else None
    return JSONResponse(body, status_code=status, headers=headers)


def _apologise(request: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw: the server logs it by itself."""
    return JSONResponse(FAILED, status_code=500)


def _refuse_request(request: Request, error: Exception) -> JSONResponse:
    """A body that is not what it should be: a 400 that names the first wrong option."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"][1:] if part not in TYPE_NAMES)
    said = "unknown option" if first["type"] == "extra_forbidden" else first["msg"]
    if first["type"] == "json_invalid":
        param, said = "", f"the body is not JSON: {first['ctx']['error']}"
    body = error_object(
        f"{param}: {said}" if param else said, "invalid_request_error", param or None
    )
    return JSONResponse(body, status_code=400)


def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    body = error_object(str(error.detail), "invalid_request_error")
    return JSONResponse(body, status_code=error.status_code)
