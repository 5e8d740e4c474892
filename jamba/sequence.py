"""One request on its way through the engine, and what the caller sees of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue
from threading import Event, Lock
from typing import TYPE_CHECKING

import numpy as np

from jamba.sampling import Chosen, SamplingParams

if TYPE_CHECKING:
    from jamba.state import SequenceState


class FinishReason(StrEnum):
    """Why no more tokens come."""

    STOP = "stop"  # an end-of-sequence token, a stop id or a stop string
    LENGTH = "length"  # max_tokens, the model's context or the memory for states
    CANCELLED = "cancelled"


@dataclass(slots=True)
class Metrics:
    """What a request took; complete once its stream has ended."""

    prompt_tokens: int
    cached_tokens: int = 0  # of the prompt, restored instead of read
    restored_from: str = "none"  # "none" | "memory" | "disk"
    miss_reason: str | None = None  # why no more was restored; None where nothing was missed
    ttft_s: float | None = None  # from submit to the first token
    generated_tokens: int = 0
    decode_s: float = 0.0  # from the first token to the last
    preemptions: int = 0  # how often it gave way to others and read its tokens again


@dataclass(slots=True, eq=False)
class Request:
    """A prompt, how to answer it, and the tokens as they come; made by `Engine.submit`.

    `state` and `read` are the engine's; a state has consumed the first `read` tokens of prompt and
    answer.
    """

    prompt: tuple[int, ...]
    params: SamplingParams
    boundaries: tuple[int, ...]  # ascending; the last is the prompt's end
    max_tokens: int  # that can be made, by the params and by the model's context
    ends: frozenset[int] = frozenset()  # tokens that end it
    tags: frozenset[str] = frozenset()
    user: str = ""  # users take turns
    number: int = 0  # of arrival
    asked_at: int = 0  # the clock of the snapshots
    submitted_at: float = field(default_factory=time.perf_counter)
    finish_reason: FinishReason | None = None
    generated: list[int] = field(default_factory=list)
    chosen: list[Chosen] = field(
        default_factory=list
    )  # as `generated`, with what the model thought
    ending: Chosen | None = None  # the token that ended it, which is none of its text
    state: SequenceState | None = None
    read: int = 0
    metrics: Metrics = field(init=False)
    rng: np.random.Generator = field(init=False)
    _outbox: SimpleQueue[int | BaseException | None] = field(default_factory=SimpleQueue)
    _lock: Lock = field(default_factory=Lock)
    _stopped: Event = field(default_factory=Event)

    def __post_init__(self) -> None:
        self.metrics = Metrics(prompt_tokens=len(self.prompt))
        self.rng = np.random.default_rng(self.params.seed)

    @property
    def is_stopped(self) -> bool:
        """Whether there is nothing more to do for it."""
        return self._stopped.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for its end, at most so long; whether it has come."""
        return self._stopped.wait(seconds)

    @property
    def length(self) -> int:
        """Tokens of prompt and answer so far."""
        return len(self.prompt) + len(self.generated)

    @property
    def is_reading(self) -> bool:
        """Whether its prompt is still to be read, wholly or in part."""
        return self.read < len(self.prompt) or not self.generated

    @property
    def next_token(self) -> int:
        """The token of the answer that its state consumes next."""
        return self.generated[self.read - len(self.prompt)]

    def rewind(self) -> None:
        """Give the state up; what was read and written is to be read again."""
        self.state, self.read = None, 0
        self.metrics.preemptions += 1

    def take(self, choice: Chosen | None) -> None:
        """Hand the next token to the reader, or end; None: no token may come."""
        if choice is None or choice.token in self.ends:
            self.ending = choice
            self.finish(FinishReason.STOP)
            return
        with self._lock:
            if self._stopped.is_set():
                return
            self._measure()
            self.generated.append(choice.token)
            self.chosen.append(choice)
            self._outbox.put(choice.token)
        if len(self.generated) >= self.max_tokens:
            self.finish(FinishReason.LENGTH)

    def finish(self, reason: FinishReason) -> None:
        """End the stream; what was said first stands."""
        self._end(reason, None)

    def fail(self, error: BaseException) -> None:
        """End the stream with an error, which the reader will see."""
        self._end(None, error)

    def tokens(self) -> Iterator[int]:
        """Tokens as they come, until the end; raises the error that ended them. To be read once."""
        try:
            while (item := self._outbox.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self._outbox.put(None)  # a second reader ends at once instead of waiting for ever

    def _measure(self) -> None:
        now, metrics = time.perf_counter() - self.submitted_at, self.metrics
        if metrics.ttft_s is None:
            metrics.ttft_s = now
        metrics.decode_s = now - metrics.ttft_s
        metrics.generated_tokens += 1

    def _end(self, reason: FinishReason | None, error: BaseException | None) -> None:
        with self._lock:
            if not self._stopped.is_set():
                self.finish_reason = reason
                self._stopped.set()
                self._outbox.put(error)
