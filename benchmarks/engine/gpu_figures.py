"""The parts of gpu_check.py; each gives named figures, seconds and tokens a second."""

import gc
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.engine.floors import token_bytes, token_flops
from benchmarks.engine.gpu_models import Sizes, make
from jamba.cache.snapshots import SnapshotStore
from jamba.config import Quantisation
from jamba.engine import Engine
from jamba.network.model import Jamba
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams
from jamba.scheduler import Limits
from jamba.training.data import Rows
from jamba.training.initialise import initialise
from jamba.training.train import active_parameters, new_optimizers, step
from jamba.training.training_state import Settings
from tests.jamba.random_models import VOCABULARY, draw_fields, make_pair, relative_error

TOLERANCE = 1e-3  # of float32 logits: a GPU adds in another order
CHUNK = 2048  # prompt tokens that are read together
QUESTION = 32  # tokens behind a kept context
ROUNDS = 3
STEPS = 20  # of the training
ROW = 1024  # tokens

Figures = dict[str, Any]


def parity(sizes: Sizes, folder: Path) -> Figures:
    """Float32 logits of drawn models against transformers' on the same device."""
    errors = []
    for seed in range(sizes.seeds):
        theirs = make_pair(draw_fields(seed), seed, folder / f"drawn-{seed}").theirs
        ours = load_model(folder / f"drawn-{seed}", device=str(sizes.place.device))
        ids = torch.randint(0, VOCABULARY, (2, 96), device=sizes.place.device)
        with torch.no_grad():
            expected = theirs.to(sizes.place.device)(ids, use_cache=False).logits
        errors.append(relative_error(ours.logits(ids), expected))
    if not max(errors) < TOLERANCE:
        raise ArithmeticError(f"relative errors of logits {errors}; {TOLERANCE} is allowed")
    return {"models": sizes.seeds, "largest relative error, float32": max(errors)}


def rates(sizes: Sizes, folder: Path) -> Figures:
    """What the device does at best: matrix products in the models' type, and bytes moved."""
    place, n = sizes.place, sizes.product
    a, b = torch.randn(2, n, n, device=place.device, dtype=place.dtype)
    block = torch.empty(n * n * 8, dtype=torch.uint8, device=place.device)
    other = torch.empty_like(block)
    product = seconds(lambda: a @ b, 10)
    copy = seconds(lambda: other.copy_(block), 10)
    return {
        "products, TFLOP/s": 2 * n**3 / product / 1e12,
        "memory, GB/s": 2 * len(block) / copy / 1e9,
    }


def training(sizes: Sizes, folder: Path) -> Figures:
    """Steps on one batch of random tokens: the loss must fall, whatever they are."""
    model = Jamba(sizes.trained)
    initialise(model, seed=0)
    model.to(sizes.place.device).train()
    settings = Settings(steps=STEPS, rows=sizes.rows, row_tokens=ROW)
    optimizers = new_optimizers(model, settings)
    tokens = ROW if sizes.rows > 1 else 48
    ids = np.random.default_rng(0).integers(3, model.config.vocab_size, (sizes.rows, tokens))
    reset = np.zeros(ids.shape, np.bool_)
    reset[:, :: tokens // 2] = True  # two documents in each row
    batch = Rows(ids, reset, np.ones(ids.shape, np.float32))
    first, _ = step(model, optimizers, batch, settings, 0.5)  # compiles
    began = time.perf_counter()
    losses = [step(model, optimizers, batch, settings, 0.5)[0] for _ in range(STEPS)]
    took = time.perf_counter() - began
    if not losses[-1] < first:
        raise ArithmeticError(f"the loss went from {first} to {losses[-1]}")
    rate = ids.size * STEPS / took
    return {
        "first loss": first,
        f"loss after {STEPS} steps": losses[-1],
        "tokens a second": rate,
        "TFLOP/s of its products": 6 * active_parameters(model) * rate / 1e12,
    }


def speed(sizes: Sizes, folder: Path) -> Figures:
    """Reading a prompt and writing on, ours and transformers', alternating in one run."""
    path = make(sizes.dense, folder / "dense", sizes.place)
    best = rates(sizes, folder)
    model = load_model(path, str(sizes.place.device), sizes.place.dtype)
    prompt = ids(sizes.dense.vocab_size, sizes.prompt, seed=0)
    found: dict[str, list[float]] = {}
    with Engine(model, limits=Limits(chunk=CHUNK)) as engine:
        theirs = transformers(path, sizes)
        for run in range(ROUNDS + 1):  # the first compiles and warms up
            figures = ours(engine, prompt, sizes) | theirs(prompt)
            for name, value in figures.items() if run else ():
                found.setdefault(name, []).append(value)
    medians: Figures = {name: statistics.median(values) for name, values in found.items()}
    free(sizes)
    flops = token_flops(model) * medians["ours, prompt tokens a second"] / 1e12
    read = token_bytes(model) * medians["ours, tokens a second"] / 1e9
    return medians | {
        "share of the rate of products": flops / best["products, TFLOP/s"],
        "share of the memory's rate": read / best["memory, GB/s"],
        "prompt, times transformers": _ratio(medians, "prompt tokens a second"),
        "writing, times transformers": _ratio(medians, "tokens a second"),
    }


def cache(sizes: Sizes, folder: Path) -> Figures:
    """Seconds to the first token behind a context, read in full and gone on from its state."""
    model = load_model(
        make(sizes.dense, folder / "dense", sizes.place), str(sizes.place.device), sizes.place.dtype
    )
    found: Figures = {}
    with Engine(model, SnapshotStore(2**35), Limits(chunk=CHUNK, state_bytes=2**35)) as engine:
        first_token(engine, ids(model.config.vocab_size, 3 * CHUNK, seed=9), [])  # warms up
        for length in sizes.contexts:
            context = ids(model.config.vocab_size, length, seed=length)
            question, other = (ids(model.config.vocab_size, QUESTION, seed=n) for n in (1, 2))
            full = first_token(engine, context + question, [length])
            kept = first_token(engine, context + other, [length])
            repeat = first_token(engine, context + other, [length])
            found |= {
                f"{length} tokens in full, s": full,
                f"{length} tokens kept, s": kept,
                f"{length} tokens, times sooner": full / kept,
                f"{length} tokens, an exact repeat, s": repeat,
            }
    return found


def experts(sizes: Sizes, folder: Path) -> Figures:
    """Experts in int8 beside those in the models' type: speed, memory, error."""
    path = make(sizes.experts, folder / "experts", sizes.place)
    prompt = ids(sizes.experts.vocab_size, sizes.prompt, seed=0)
    free(sizes)
    found: Figures = {}
    logits = []
    for kind in (Quantisation.NONE, Quantisation.EXPERTS):
        model = load_model(path, str(sizes.place.device), sizes.place.dtype, kind)
        held = sum(t.nbytes for n, t in model.state_dict().items() if ".experts." in n)
        found[f"{kind}: experts, GB"] = held / 1e9
        logits.append(model.logits(torch.tensor([prompt[:512]])))
        with Engine(model, limits=Limits(chunk=CHUNK)) as engine:
            ours(engine, prompt, sizes)
            figures = ours(engine, prompt, sizes)
        found |= {f"{kind}: {name}": value for name, value in figures.items()}
        del model, engine
        free(sizes)
    return found | {"int8, relative error of logits": relative_error(logits[1], logits[0])}


def ours(engine: Engine, prompt: list[int], sizes: Sizes) -> Figures:
    """One prompt and what follows; then as many at once as `sizes` says."""
    params = SamplingParams(max_tokens=sizes.written, ignore_eos=True)
    request = engine.submit(prompt, params)
    list(engine.stream(request))
    metrics = request.metrics
    short = prompt[:64]
    together = [engine.submit([*short, n], params) for n in range(sizes.together)]
    for each in together:
        list(engine.stream(each))
    written = sum(each.metrics.generated_tokens - 1 for each in together)
    longest = max(each.metrics.decode_s for each in together)
    return {
        "ours, prompt tokens a second": len(prompt) / (metrics.ttft_s or 0.0),
        "ours, tokens a second": (sizes.written - 1) / metrics.decode_s,
        f"ours, tokens a second of {sizes.together} at once": written / longest,
    }


def transformers(path: Path, sizes: Sizes) -> Callable[[list[int]], Figures]:
    """A greedy loop over transformers' model and its cache."""
    from transformers import JambaForCausalLM

    model = JambaForCausalLM.from_pretrained(path, dtype=sizes.place.dtype).eval()
    model.to(sizes.place.device)

    def run(prompt: list[int]) -> Figures:
        with torch.inference_mode():
            began = time.perf_counter()
            out = model(
                torch.tensor([prompt], device=sizes.place.device), use_cache=True, logits_to_keep=1
            )
            token = out.logits[:, -1:].argmax(-1)
            token.tolist()  # waits
            first = time.perf_counter()
            for _ in range(sizes.written - 1):
                out = model(token, past_key_values=out.past_key_values, use_cache=True)
                token = out.logits[:, -1:].argmax(-1)
                token.tolist()
            decode = time.perf_counter() - first
        return {
            "transformers, prompt tokens a second": len(prompt) / (first - began),
            "transformers, tokens a second": (sizes.written - 1) / decode,
        }

    return run


def first_token(engine: Engine, prompt: list[int], boundaries: list[int]) -> float:
    """Seconds from submitting a prompt to its first token."""
    params = SamplingParams(max_tokens=1, ignore_eos=True)
    request = engine.submit(prompt, params, boundaries=boundaries)
    list(engine.stream(request))
    return request.metrics.ttft_s or 0.0


def seconds(run: Callable[[], object], times: int) -> float:
    """The median of some runs, waited for, after one that warms up."""
    took = []
    for _ in range(times + 1):
        began = time.perf_counter()
        run()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def ids(vocabulary: int, count: int, seed: int) -> list[int]:
    """Token ids drawn by a seed."""
    rng = random.Random(seed)
    return [rng.randrange(3, vocabulary) for _ in range(count)]


def free(sizes: Sizes) -> None:
    """Give memory of models that are gone back to the device."""
    gc.collect()
    if sizes.place.device.type == "cuda":
        torch.cuda.empty_cache()


def _ratio(medians: Figures, what: str) -> float:
    return float(medians[f"ours, {what}"] / medians[f"transformers, {what}"])
