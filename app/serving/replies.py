"""What goes back over the wire: streams of events, and errors in OpenAI's envelope."""

import json
import logging
from collections.abc import Iterator
from itertools import chain
from threading import Event as Signal
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from app.library import NotFound
from app.models.model_types import ModelBusy, ModelError
from app.serving.service import Gone, NothingToSearch
from app.types import OrbweaverError
from retrieval.types import RetrievalError

log = logging.getLogger(__name__)

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


class BadOption(OrbweaverError):
    """An option has a value that it cannot have here; `param` names it."""

    def __init__(self, param: str, said: str) -> None:
        super().__init__(f"{param}: {said}")
        self.param = param


def started(items: Iterator[Any]) -> Iterator[Any]:
    """The same items, the first of them made: what is wrong is an error, not half a stream."""
    first = next(items, None)
    return chain([] if first is None else [first], items)


def stream(lines: Iterator[dict[str, Any]], cancel: Signal) -> StreamingResponse:
    """Server-sent events; when nobody listens any more, `cancel` is set."""
    return StreamingResponse(_sent(lines, cancel), media_type="text/event-stream")


def described(error: Exception) -> tuple[int, dict[str, Any]]:
    """An exception as a status and OpenAI's envelope; ours are told, others are only logged."""
    for kind, status, type_ in STATUS:
        if isinstance(error, kind):
            return status, error_object(str(error), type_, getattr(error, "param", None))
    log.exception("request failed", exc_info=error)
    return 500, error_object("the server failed; its terminal says why", "api_error")


def error_object(message: str, type_: str, param: str | None = None) -> dict[str, Any]:
    """OpenAI's error envelope."""
    return {"error": {"message": message, "type": type_, "param": param, "code": None}}


def _sent(lines: Iterator[dict[str, Any]], cancel: Signal) -> Iterator[str]:
    try:
        for line in lines:
            yield f"data: {json.dumps(line, ensure_ascii=False)}\n\n"
        yield "data: [DONE]\n\n"
    except Exception as error:  # the status is sent already
        status, body = described(error)
        yield f"data: {json.dumps(body | {'status': status}, ensure_ascii=False)}\n\n"
    finally:
        cancel.set()


def _tell(request: Request, error: Exception) -> JSONResponse:
    status, body = described(error)
    headers = {"Retry-After": RETRY_SECONDS} if status == 429 else None
    return JSONResponse(body, status_code=status, headers=headers)


def _refuse_request(request: Request, error: Exception) -> JSONResponse:
    """A body that is not what it should be: a 400 that names the first wrong option."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = ".".join(str(part) for part in first["loc"] if part != "body")
    said = "unknown option" if first["type"] == "extra_forbidden" else first["msg"]
    body = error_object(
        f"{param}: {said}" if param else said, "invalid_request_error", param or None
    )
    return JSONResponse(body, status_code=400)


def _refuse_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    body = error_object(str(error.detail), "invalid_request_error")
    return JSONResponse(body, status_code=error.status_code)
