"""How much a request may carry: a body is read whole before anyone parses it, so it has a limit.

Files have limits of their own, where they are taken in.
"""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES = 8 * 2**20  # some two million words: more than any model here reads
PATIENCE = 8  # times the limit that is read and thrown away, so that the refusal can be heard


class BodyLimit:
    """ASGI middleware: a body over `limit` bytes is refused with 413, except on `free` paths."""

    def __init__(self, app: ASGIApp, limit: int, free: Collection[str]) -> None:
        self.app, self.limit, self.free = app, limit, frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self.free or not _has_body(scope):
            await self.app(scope, receive, send)
            return
        body = await self._read(receive)
        if body is None:
            await _refusal(self.limit)(scope, receive, send)
        else:
            await self.app(scope, _again(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        """The body; None if it is too large. One whose sender has gone is as long as it came."""
        body, length, more = bytearray(), 0, True
        while more and length <= PATIENCE * self.limit:
            message = await receive()
            piece = message.get("body", b"")
            length += len(piece)
            if length <= self.limit:
                body += piece
            more = message.get("more_body", False)
        return bytes(body) if length <= self.limit else None


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _again(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` first and then what comes, such as the end of the line."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _refusal(limit: int) -> JSONResponse:
    message = f"the request is larger than {limit / 2**20:g} MiB: send less text"
    error = {"message": message, "type": "invalid_request_error", "param": None}
    return JSONResponse({"error": error | {"code": "request_too_large"}}, status_code=413)
