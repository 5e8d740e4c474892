"""What a monitoring system reads."""

import httpx
import pytest

from tests.app.serving.api.shelf import ask, shelf_id

pytestmark = [pytest.mark.java, pytest.mark.usefixtures("address")]  # which loads the models


def test_requests_latencies_and_documents_are_counted(http, service):
    ask(http, service)
    ask(http, service, mode="poem")
    http.get(f"/v1/collections/{shelf_id(service)}/documents")
    text = http.get("/metrics").text
    route = 'route="/v1/collections/{collection_id}/ask"'
    assert f'orbweaver_requests_total{{{route},status="200"}} 1.0' in text
    assert f'orbweaver_requests_total{{{route},status="400"}} 1.0' in text
    assert f"orbweaver_request_seconds_count{{{route}}} 2.0" in text
    assert 'orbweaver_documents{state="ready"} 2.0' in text
    assert 'orbweaver_documents{state="queued"} 0.0' in text
    assert str(shelf_id(service)) + "/documents" not in text, "routes, never paths"


def test_the_model_counts_requests_and_tokens(http, service):
    def value(name):
        lines = http.get("/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(name))

    name_of = service.models.language_model().name  # which is loaded in the background
    written, read = (f'orbweaver_tokens_total{{kind="{kind}"}}' for kind in ("written", "read"))
    before = value(written)
    http.post("/v1/completions", json={"model": name_of, "prompt": "One two", "max_tokens": 3})
    assert 1 <= value(written) - before <= 3
    assert value(read) >= 2
    assert value('orbweaver_model_requests{state="waiting"}') == 0
    assert value('orbweaver_model_requests{state="running"}') == 0


def test_health_is_open_and_metrics_are_not(address):
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{address}/metrics").status_code == 401
