"""What a monitoring system reads at /metrics, as Prometheus has it; nothing is sent anywhere."""

import time

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.library import Library

SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
API = "/v1"
PAGE = "page"  # what no route answers: the page's own files


class Metrics:
    """The counters of one server, in a registry of its own; the queue is counted when asked."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, library: Library) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "orbweaver_requests", "Requests answered.", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "orbweaver_request_seconds", "From a request to the last byte of its answer.",
            ["route"], buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._documents = Gauge(
            "orbweaver_documents", "Documents by state.", ["state"], registry=self._registry
        )
        self._library = library

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        for state, count in self._library.counts().items():
            self._documents.labels(state.value).set(count)
        return generate_latest(self._registry)


class Measured:
    """ASGI middleware that counts and times requests by route, never by path."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), "none"

        async def noting(message: Message) -> None:
            nonlocal status
            status = str(message.get("status", status))
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            route = _route(scope)
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - started)


def _route(scope: Scope) -> str:
    """The template of the path that was asked for; FastAPI's lacks the prefix of its router."""
    path: str | None = getattr(scope.get("route"), "path", None)
    if path is None:
        return PAGE
    within = scope["path"].startswith(f"{API}/") and not path.startswith(API)
    return API + path if within else path
