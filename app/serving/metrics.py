"""What a monitoring system reads at /metrics, as Prometheus has it; nothing is sent anywhere."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.library import Library
from jamba.load import Load

SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
API = "/v1"
PAGE = "page"  # what no route answers: the page's own files


class Metrics:
    """The counters of one server, in a registry of its own; what waits is counted when asked."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, library: Library, work: Callable[[], Load | None]) -> None:
        """`work` says what the language model does; None where none runs here."""
        self._registry = CollectorRegistry()
        self._registry.register(_Engine(work))
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


class _Engine(Collector):
    """What the language model of this process does and has done."""

    def __init__(self, work: Callable[[], Load | None]) -> None:
        self._work = work

    def collect(self) -> Iterator[Metric]:
        """The engine's own numbers as they are now."""
        if (load := self._work()) is None:
            return
        requests = GaugeMetricFamily(
            "orbweaver_model_requests", "Requests at the language model by state.", labels=["state"]
        )
        requests.add_metric(["running"], load.running)
        requests.add_metric(["waiting"], load.waiting)
        yield requests
        tokens = CounterMetricFamily(
            "orbweaver_tokens",
            "Tokens read, restored from a kept state instead of read, and written.",
            labels=["kind"],
        )
        tokens.add_metric(["read"], load.totals.prompt)
        tokens.add_metric(["restored"], load.totals.cached)
        tokens.add_metric(["written"], load.totals.written)
        yield tokens


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
