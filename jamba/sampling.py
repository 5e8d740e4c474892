"""Logits to one token id: pure functions over numpy, the same for the same seed on any machine."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jamba.config import JambaError

Logits = NDArray[np.float32]  # (V,)
Row = NDArray[np.float64]  # (V,)
Allowed = Callable[[Sequence[int]], Collection[int] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How to choose tokens and when to stop; raises JambaError on a value that cannot be.

    `allowed` is called before each token with the tokens generated so far and returns the ids that
    may come next: None for all of them, none at all to stop.
    """

    max_tokens: int = 256
    temperature: float = 0.0  # 0: always the likeliest
    top_p: float = 1.0  # keep the likeliest tokens that make up this probability
    top_k: int | None = None  # keep this many
    min_p: float = 0.0  # keep those with this share of the likeliest's probability
    repetition_penalty: float = 1.0  # over prompt and answer (arXiv 1909.05858, section 4.1)
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None  # None: another one each time
    logprobs: int | None = None  # keep each token's log probability, and those of so many likeliest
    rows: bool = False  # keep the log probabilities of the whole vocabulary before each token
    stop_ids: Collection[int] = ()  # besides those of the checkpoint's config
    ignore_eos: bool = False  # for benchmarks: only max_tokens ends
    allowed: Allowed | None = None

    def __post_init__(self) -> None:
        checks = {
            "max_tokens": self.max_tokens >= 1,
            "temperature": 0.0 <= self.temperature < float("inf"),
            "top_p": 0.0 < self.top_p <= 1.0,
            "top_k": self.top_k is None or self.top_k >= 1,
            "min_p": 0.0 <= self.min_p <= 1.0,
            "repetition_penalty": 0.0 < self.repetition_penalty < float("inf"),
            "logit_bias": all(np.isfinite(bias) for bias in self.logit_bias.values()),
            "logprobs": self.logprobs is None or self.logprobs >= 0,
            "seed": self.seed is None or self.seed >= 0,
        }
        for name, is_possible in checks.items():
            if not is_possible:
                raise JambaError(f"{name} = {getattr(self, name)!r} is out of range")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A token; with `logprobs` or `rows`, how likely the model held it and what else it did.

    These are of the model's own distribution, before bias, penalty, temperature or mask.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()  # ids and log probabilities, the likeliest first
    row: Row | None = field(default=None, compare=False)  # with `rows`, all log probabilities


def choose(
    logits: Logits,
    params: SamplingParams,
    rng: np.random.Generator,
    prompt: Sequence[int] = (),
    generated: Sequence[int] = (),
) -> Chosen | None:
    """The next token; None where `params.allowed` leaves none. Ties go to the lowest id."""
    allowed = None if params.allowed is None else params.allowed(generated)
    if allowed is not None and not len(allowed):
        return None
    seen = {*prompt, *generated} if params.repetition_penalty != 1 else ()
    scores = adjust(logits, params, seen)
    scores = scores if allowed is None else only(scores, allowed)
    if params.temperature == 0.0:
        token = int(np.argmax(scores))
    else:
        ids, probabilities = candidates(scores, params)
        token = int(rng.choice(ids, p=probabilities))
    return judged(logits, token, params)


def judged(logits: Logits, token: int, params: SamplingParams) -> Chosen:
    """The token with the log probabilities that are asked for."""
    if params.logprobs is None and not params.rows:
        return Chosen(token)
    scores = logits.astype(np.float64)
    scores -= scores.max()
    logprobs = scores - np.log(np.exp(scores).sum())
    likeliest = np.argsort(-logprobs, kind="stable")[: params.logprobs] if params.logprobs else ()
    top = tuple((int(each), float(logprobs[each])) for each in likeliest)
    return Chosen(token, float(logprobs[token]), top, logprobs if params.rows else None)


def adjust(logits: Logits, params: SamplingParams, seen: Collection[int]) -> Logits:
    """Repetition penalty over the tokens seen, then the bias; a copy where anything changes."""
    if not seen and not params.logit_bias:
        return logits
    logits = logits.copy()
    if seen:
        at = np.fromiter(seen, dtype=np.int64)
        scores, penalty = logits[at], params.repetition_penalty
        logits[at] = np.where(scores < 0, scores * penalty, scores / penalty)
    for token, bias in params.logit_bias.items():
        logits[token] += bias
    return logits


def only(logits: Logits, allowed: Collection[int]) -> Logits:
    """The logits of the allowed ids; minus infinity elsewhere."""
    masked = np.full_like(logits, -np.inf)
    at = np.fromiter(allowed, dtype=np.int64)
    if len(at) and not 0 <= at.min() <= at.max() < len(logits):
        raise JambaError(f"allowed token ids must lie in 0..{len(logits) - 1}")
    masked[at] = logits[at]
    return masked


def candidates(
    logits: Logits, params: SamplingParams
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ids that may be drawn, likeliest first, and their probabilities."""
    scores = logits.astype(np.float64) / params.temperature
    weights = np.exp(scores - scores.max())
    probabilities = weights / weights.sum()
    # Together, the ids left out here have less than 1 - top_p, so none of them is needed for top_p.
    ids = np.flatnonzero(probabilities > (1.0 - params.top_p) / len(logits))
    ids = ids[np.argsort(-probabilities[ids], kind="stable")][: params.top_k]
    kept = probabilities[ids] / (probabilities[ids].sum() if params.top_k else 1.0)
    before = np.cumsum(kept) - kept  # what the likelier ones make up
    ids = ids[(before < params.top_p) & (kept >= params.min_p * kept[0])]
    kept = probabilities[ids]
    return ids, kept / kept.sum()
