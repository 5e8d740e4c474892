"""The engines that are compared, each as a function from a prompt to two rates."""

import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.engine import llama_cpp
from jamba.config import Quantisation
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams

Rates = tuple[float, float]  # prompt tokens a second until the first token, and tokens after it
Run = Callable[[list[int], int], Rates]


def ours(folder: Path, quantisation: Quantisation) -> Run:
    """Our engine, with no snapshots to go on from."""
    engine = Engine(load_model(folder, quantisation=quantisation))

    def run(prompt: list[int], tokens: int) -> Rates:
        request = engine.submit(prompt, SamplingParams(max_tokens=tokens, ignore_eos=True))
        list(engine.stream(request))
        metrics = request.metrics
        return len(prompt) / (metrics.ttft_s or 0.0), (tokens - 1) / metrics.decode_s

    return run


def transformers(folder: Path) -> Run:
    """A greedy loop over transformers' model and its cache."""
    from transformers import JambaForCausalLM

    model = JambaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def run(prompt: list[int], tokens: int) -> Rates:
        with torch.inference_mode():
            began = time.perf_counter()
            out = model(torch.tensor([prompt]), use_cache=True, logits_to_keep=1)
            token = out.logits[:, -1:].argmax(-1)
            first = time.perf_counter()
            for _ in range(tokens - 1):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
            decode = time.perf_counter() - first
            return len(prompt) / (first - began), (tokens - 1) / decode

    return run


def of_llama_cpp(programs: Path, file: Path) -> Run:
    """A process of llama-bench for each run; it draws its own tokens."""

    def run(prompt: list[int], tokens: int) -> Rates:
        return llama_cpp.rates(programs, file, len(prompt), tokens, torch.get_num_threads())

    return run
