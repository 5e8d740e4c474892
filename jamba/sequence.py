"""One request on its way through the engine, and what the caller sees of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from queue import SimpleQueue
from threading import Event, Lock

from jamba.sampling import SamplingParams


class FinishReason(StrEnum):
    """Why no more tokens come."""

    STOP = "stop"  # an end-of-sequence token, a stop id or a stop string
    LENGTH = "length"  # max_tokens or the model's context
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


@dataclass(slots=True, eq=False)
class Request:
    """A prompt, how to answer it, and the tokens as they come; made by `Engine.submit`."""

    prompt: tuple[int, ...]
    params: SamplingParams
    boundaries: tuple[int, ...]  # ascending; the last is the prompt's end
    tags: frozenset[str]
    submitted_at: float  # time.perf_counter()
    asked_at: int  # the clock of the snapshots
    metrics: Metrics
    finish_reason: FinishReason | None = None
    generated: list[int] = field(default_factory=list)
    _outbox: SimpleQueue[int | BaseException | None] = field(default_factory=SimpleQueue)
    _lock: Lock = field(default_factory=Lock)
    _stopped: Event = field(default_factory=Event)

    @property
    def is_stopped(self) -> bool:
        """Whether there is nothing more to do for it."""
        return self._stopped.is_set()

    def emit(self, token: int) -> None:
        """Hand one token to the reader; dropped where the request has been stopped meanwhile."""
        with self._lock:
            if not self._stopped.is_set():
                self.generated.append(token)
                self._outbox.put(token)

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

    def _end(self, reason: FinishReason | None, error: BaseException | None) -> None:
        with self._lock:
            if not self._stopped.is_set():
                self.finish_reason = reason
                self._stopped.set()
                self._outbox.put(error)
