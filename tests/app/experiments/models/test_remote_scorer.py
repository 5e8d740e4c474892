"""A real HTTP server that tells log probabilities of prompts, and servers that do not."""

import numpy as np
import pytest
from fastapi import FastAPI, Request

from app.experiments.models.open_scorer import open_scorer
from app.experiments.models.scorer import Row
from app.models.model_types import ModelError
from tests.app.in_process import serving

ROWS = [
    Row(np.array([5, 9, 12, 30, 7]), np.array([1, 4])),
    Row(np.array([8, 8, 40]), np.array([2])),
]


def make_app(scorer):
    """vLLM's answer to `echo` and `logprobs`, computed by a local model."""
    app = FastAPI()

    @app.get("/v1/models")
    def models():
        return {"data": [{"id": "tiny"}]}

    @app.post("/v1/completions")
    async def completions(request: Request):
        body = await request.json()
        choices = []
        for number, ids in enumerate(body["prompt"]):
            row = Row(np.array(ids), np.arange(1, len(ids)))
            told = [None, *(-scorer.losses([row])[0]).tolist(), -1.0]
            logprobs = {"token_logprobs": told} if body["echo"] and body["logprobs"] else None
            choices.append({"index": number, "text": "", "logprobs": logprobs})
        kind = body["model"]
        if kind == "silent":
            return {"choices": [{**choice, "logprobs": None} for choice in choices]}
        return {"choices": choices[:1] if kind == "single" else choices[::-1]}

    return app


def test_a_server_scores_as_its_model_does(gpt2_folder):
    local = open_scorer(str(gpt2_folder))
    with serving(make_app(local)) as address:
        remote = open_scorer(f"{address}/v1", gpt2_folder)
        assert remote.encode("the bridge") == local.encode("the bridge")
        for ours, theirs in zip(remote.losses(ROWS), local.losses(ROWS), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        remote.close()
        for name, said in (("silent", "no log probabilities"), ("single", "1 of 2 prompts")):
            remote = open_scorer(f"{address}/v1#{name}", gpt2_folder)
            with pytest.raises(ModelError, match=said):
                remote.losses(ROWS)
            remote.close()
        with pytest.raises(ModelError, match="--tokenizer"):
            open_scorer(f"{address}/v1")
