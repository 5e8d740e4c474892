"""The limit on what a request may carry, against a real server."""

import httpx
import pytest
from fastapi import FastAPI, Request

from app.serving.body_limit import BodyLimit
from tests.app.in_process import serving

LIMIT = 1000


@pytest.fixture(scope="module")
def http():
    app = FastAPI()

    @app.post("/length")
    @app.post("/free")
    async def length(request: Request) -> int:
        return len(await request.body())

    app.add_middleware(BodyLimit, limit=LIMIT, free={"/free"})
    with serving(app) as address, httpx.Client(base_url=address, timeout=30) as client:
        yield client


def in_pieces(size):
    """A body that does not say how long it is."""
    yield from (b"x" * min(300, size - start) for start in range(0, size, 300))


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_up_to_the_limit_a_body_arrives_whole(http, size):
    assert http.post("/length", content=b"x" * size).json() == size
    assert http.post("/length", content=in_pieces(size)).json() == size


@pytest.mark.parametrize("size", [LIMIT + 1, 5 * LIMIT, 100 * LIMIT])
def test_beyond_it_the_answer_is_413_in_the_envelope(http, size):
    for content in (b"x" * size, in_pieces(size)):
        answer = http.post("/length", content=content)
        assert answer.status_code == 413
        error = answer.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "request_too_large")
        assert "MiB" in error["message"]


def test_paths_with_a_limit_of_their_own_are_free(http):
    assert http.post("/free", content=b"x" * 5 * LIMIT).json() == 5 * LIMIT
