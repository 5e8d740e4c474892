"""Requests in, tokens out: one thread owns the model and serves all requests step by step."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from queue import SimpleQueue
from threading import Condition, Thread
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jamba.cache.snapshots import MissReason, SnapshotStore
from jamba.config import JambaError
from jamba.load import Load, Totals
from jamba.network.decode import Array, Decoder
from jamba.network.model import Jamba
from jamba.network.weights import fingerprint
from jamba.sampling import Chosen, SamplingParams, choose
from jamba.scheduler import Batch, Limits, Scheduler
from jamba.sequence import FinishReason, Request
from jamba.state import SequenceState, state_bytes

if TYPE_CHECKING:
    from jamba.network.graph_decode import GraphDecoder

NOTHING = SamplingParams(max_tokens=1, allowed=lambda made: ())  # ends when the prompt is read
PROGRESS_S = 0.2

Logits = dict[Request, Array]  # (V,) each, of those whose next token is to be chosen


@dataclass(frozen=True, slots=True)
class Kept:
    """A text that was read, and the state that was kept of it."""

    tokens: int
    cached_tokens: int  # restored instead of read
    restored_from: str  # "none" | "memory" | "disk"
    bytes: int  # of the state with all that it goes on from
    seconds: float


class Engine:
    """Serves many requests at once. `submit`, `stream` and `cancel` are safe from any thread.

    Where it has snapshots, a prompt goes on from its longest stored beginning, and its state is
    stored at each declared boundary and at its end. A request's tokens do not depend on who else
    is served: prompts are read one by one, cut by their own boundaries alone, and a decoding step
    gives each sequence the same bits in any company, however often it gave way to others. Only
    what it was restored from may show in the last bits: prompts cut elsewhere round differently.
    """

    def __init__(
        self,
        model: Jamba,
        snapshots: SnapshotStore | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
    ) -> None:
        self.model = model
        self.snapshots = snapshots
        self._limits = limits
        self._decoder = _decoder(model)
        self._fingerprint = "" if snapshots is None else fingerprint(model)
        cost = partial(state_bytes, model.config, dtype=model.place.dtype)
        self._scheduler = Scheduler(limits, cost)
        self._numbers = count()
        self._is_closed = False
        self._changed = Condition()  # guards the scheduler
        self._stored: SimpleQueue[bool] = SimpleQueue()  # that a snapshot was; False at the end
        self._fetches: SimpleQueue[Request | None] = SimpleQueue()  # whose states to look for
        self._totals = Totals()
        self._warm_up()
        self._threads = [
            Thread(target=self._run, name="jamba-engine", daemon=True),
            Thread(target=self._save, name="jamba-snapshots", daemon=True),
            Thread(target=self._fetch, name="jamba-fetch", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams | None = None,
        *,
        boundaries: Sequence[int] = (),
        tags: Sequence[str] = (),
        user: str = "",
    ) -> Request:
        """Queue a prompt; its tokens come from `stream`.

        `boundaries` are numbers of prompt tokens after which other prompts may go on differently;
        `tags` name what was read, for `SnapshotStore.forget`; users take turns. Raises QueueFull,
        and JambaError on an empty or too long prompt, an unknown token id, a boundary outside the
        prompt, or a closed engine.
        """
        prompt = tuple(int(token) for token in prompt_ids)
        params = params or SamplingParams()
        self._check_prompt(prompt, boundaries)
        self._check_ids("logit_bias", params.logit_bias)
        config = self.model.config
        request = Request(
            prompt=prompt,
            params=params,
            boundaries=tuple(sorted({*boundaries, len(prompt)} - {0})),
            max_tokens=min(params.max_tokens, config.max_position_embeddings - len(prompt)),
            ends=frozenset(params.stop_ids).union(
                () if params.ignore_eos else config.eos_token_ids
            ),
            tags=frozenset(tags),
            user=user,
            number=next(self._numbers),
            asked_at=0 if self.snapshots is None else self.snapshots.now,
        )
        with self._changed:
            if self._is_closed:
                raise JambaError("the engine is closed")
            is_held = self.snapshots is not None and self.snapshots.is_on_disk
            self._scheduler.add(request, is_held)
            self._changed.notify()
        if is_held:
            self._fetches.put(request)
        return request

    def stream(self, request: Request) -> Iterator[int]:
        """The tokens of a request as they are made, without the one that ended it.

        A reader who stops early cancels the request; an error in the engine is raised here.
        """
        try:
            yield from request.tokens()
        finally:
            self.cancel(request)

    def read(
        self,
        prompt_ids: Sequence[int],
        name: str,
        on_progress: Callable[[int], None] | None = None,
    ) -> Kept:
        """Read a long text once and keep its state, tagged `name`, on disk where there is a folder.

        Prompts that begin with these tokens go on from there, in later processes too.
        `on_progress` gets the number of tokens read, now and then. Raises JambaError where there
        are no snapshots or their budget is too small for the state, and as `submit` does.
        """
        if self.snapshots is None:
            raise JambaError("reading keeps a state; make the engine with a SnapshotStore")
        request = self.submit(prompt_ids, NOTHING, tags=[name])
        began = request.submitted_at
        try:
            while not request.wait(PROGRESS_S):
                if on_progress is not None:
                    on_progress(request.read)
        finally:  # whoever is interrupted here reads no further
            self.cancel(request)
        list(request.tokens())  # raises what went wrong
        self.snapshots.flush()
        size = self.snapshots.size(self._fingerprint, request.prompt)
        if size is None:
            raise JambaError(
                f"the state after {len(request.prompt)} tokens was not kept: it takes more than "
                f"the budget of {self.snapshots.max_bytes} bytes, or it was forgotten meanwhile"
            )
        metrics = request.metrics
        seconds = time.perf_counter() - began
        return Kept(
            metrics.prompt_tokens, metrics.cached_tokens, metrics.restored_from, size, seconds
        )

    def cancel(self, request: Request, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """End a request, waiting or running; nothing happens where it has ended.

        Its memory is free before the next step begins.
        """
        request.finish(reason)

    @property
    def load(self) -> Load:
        """How much there is to do and was done."""
        with self._changed:
            return Load(*self._scheduler.counts, replace(self._totals))

    def close(self) -> None:
        """Cancel what is open, write what is not on disk yet, end; safe to call twice."""
        with self._changed:
            self._is_closed = True
            for request in self._scheduler.requests:
                request.finish(FinishReason.CANCELLED)
            self._changed.notify()
        self._stored.put(False)
        self._fetches.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_prompt(self, prompt: tuple[int, ...], boundaries: Sequence[int]) -> None:
        config = self.model.config
        if not prompt:
            raise JambaError("the prompt is empty; an engine needs a token to start from")
        if len(prompt) >= config.max_position_embeddings:
            raise JambaError(
                f"the prompt has {len(prompt)} tokens; this model reads fewer than "
                f"{config.max_position_embeddings}"
            )
        self._check_ids("the prompt", prompt)
        if any(not 0 <= boundary <= len(prompt) for boundary in boundaries):
            raise JambaError(f"boundaries must lie in 0..{len(prompt)}, not {list(boundaries)}")

    def _check_ids(self, place: str, ids: Iterable[int]) -> None:
        last = self.model.config.vocab_size - 1
        wrong = [token for token in ids if not 0 <= token <= last]
        if wrong:
            raise JambaError(f"{place} holds token ids outside 0..{last}: {wrong[:5]}")

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while batch := self._next():
                    logits = self._compute(batch)
                    self._finish(self._sample(logits))
        except BaseException as error:  # a fault of ours: nobody may wait for ever
            self._abandon(error)
            raise

    @torch.inference_mode()
    def _warm_up(self) -> None:
        """Load or compile all that is made on first use, before anyone waits for it."""
        state = SequenceState.fresh(self.model.config, where=self.model.place)
        row = torch.zeros(1, 2, dtype=torch.int64, device=self.model.place.device)
        for _ in range(2):  # a beginning, then what goes on from it
            self.model.head(self.model.hidden(row, state))
        self._decoder.step([0], [state])

    def _next(self) -> Batch | None:
        """The next step, as soon as there is one; None when the engine is closed."""
        with self._changed:
            while not self._is_closed:
                if batch := self._scheduler.next():
                    return batch
                self._changed.wait()
            return None

    def _compute(self, batch: Batch) -> Logits:
        """Read on and write on, by one step; an error ends the requests that it concerns."""
        logits: Logits = {}
        try:
            logits |= self._write(batch.writing)
        except Exception as error:
            for request in batch.writing:
                request.fail(error)
        if batch.reading is not None:
            try:
                logits |= self._read(batch.reading)
            except Exception as error:
                batch.reading.fail(error)
        return logits

    def _write(self, requests: Sequence[Request]) -> Logits:
        """One more token into each state; no logits of those that only catch up with themselves."""
        if not requests:
            return {}
        tokens, states = [each.next_token for each in requests], [each.state for each in requests]
        rows = self._decoder.step(tokens, [state for state in states if state is not None])
        for request in requests:
            request.read += 1
        pairs = zip(requests, rows, strict=True)
        return {request: row for request, row in pairs if request.read == request.length}

    def _read(self, request: Request) -> Logits:
        """Restore or read a part of a prompt; the logits after the last, unless read before.

        Parts end at boundaries and at multiples of the chunk behind them, whoever else is served.
        """
        logits = self._restore(request) if request.state is None else None
        state = request.state
        if state is None:
            raise AssertionError("a request that reads has a state")
        begin = request.read
        if begin < len(request.prompt):
            boundary = next(end for end in request.boundaries if end > begin)
            end = min(boundary, begin + self._limits.chunk)
            row = torch.tensor([request.prompt[begin:end]], device=self.model.place.device)
            hidden = self.model.hidden(row, state)  # (1, end - begin, H)
            self._totals.prompt += end - begin
            request.read = end
            if end == boundary:
                logits = self.model.head(hidden[0, -1])
                self._put(request, state, logits)
        if logits is None or request.read < request.length:
            return {}
        return {request: _array(logits)}

    def _restore(self, request: Request) -> Tensor | None:
        """Give a request its state, from a snapshot if there is one, with the logits after it."""
        if self.snapshots is None:
            request.metrics.miss_reason = MissReason.OFF
            request.state = SequenceState.fresh(self.model.config, where=self.model.place)
            return None
        config, place = self.model.config, self.model.place
        found = self.snapshots.find(
            self._fingerprint, config, request.prompt, request.boundaries, place
        )
        request.state = found.state or SequenceState.fresh(config, where=place)
        request.read = request.state.length
        self._totals.cached += request.read
        metrics = request.metrics
        if not metrics.preemptions:
            metrics.cached_tokens = request.read
            metrics.restored_from, metrics.miss_reason = found.source, found.miss_reason
        return found.logits

    def _put(self, request: Request, state: SequenceState, logits: Tensor) -> None:
        if self.snapshots is not None:
            logits = logits.float().cpu()
            self.snapshots.put(
                self._fingerprint, request.prompt, state, logits, request.tags, request.asked_at
            )
            self._stored.put(True)

    def _sample(self, logits: Logits) -> dict[Request, Chosen | None]:
        """The next token of each; an error in a request's own hook ends that request alone."""
        chosen = {}
        for request, row in logits.items():
            try:
                chosen[request] = choose(
                    row, request.params, request.rng, request.prompt, request.generated
                )
            except Exception as error:
                request.fail(error)
        return chosen

    def _finish(self, chosen: dict[Request, Chosen | None]) -> None:
        self._totals.written += len(chosen)
        with self._changed:
            self._scheduler.finish(chosen)

    def _abandon(self, error: BaseException) -> None:
        with self._changed:
            self._is_closed = True
            for request in self._scheduler.requests:
                request.fail(error)

    def _save(self) -> None:
        """Write snapshots to their folder, in a thread in which nobody waits for a token."""
        goes_on = True
        while goes_on:
            goes_on = self._stored.get()
            if self.snapshots is not None:
                self.snapshots.flush()

    def _fetch(self) -> None:
        """Read states from files, in a thread in which nobody waits for a token."""
        while (request := self._fetches.get()) is not None:
            try:
                if self.snapshots is not None and not request.is_stopped:
                    self.snapshots.fetch(self._fingerprint, request.prompt, request.boundaries)
            except Exception as error:
                request.fail(error)
            with self._changed:
                self._scheduler.release(request)
                self._changed.notify()


def _decoder(model: Jamba) -> "Decoder | GraphDecoder":
    if model.place.device.type == "cpu":
        return Decoder(model)
    from jamba.network.graph_decode import GraphDecoder

    return GraphDecoder(model)


def _array(logits: Tensor) -> Array:
    array: Array = logits.float().cpu().numpy()
    return array
