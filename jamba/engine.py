"""Requests in, tokens out: one thread owns the model and answers one request after another."""

import time
from collections.abc import Iterable, Iterator, Sequence
from queue import SimpleQueue
from threading import Lock, Thread
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from jamba.config import JambaError
from jamba.decode import Decoder
from jamba.model import Jamba
from jamba.sampling import SamplingParams, choose
from jamba.sequence import FinishReason, Metrics, Request
from jamba.snapshots import Found, MissReason, SnapshotStore
from jamba.state import SequenceState
from jamba.weights import fingerprint

CHUNK = 512  # tokens read at a time: a request can be cancelled between chunks


class Engine:
    """Answers requests in the order they come. `submit`, `stream` and `cancel` are safe anywhere.

    Where it has snapshots, a prompt goes on from its longest stored beginning, and its state is
    stored at each declared boundary and at its end.
    """

    def __init__(
        self, model: Jamba, snapshots: SnapshotStore | None = None, chunk: int = CHUNK
    ) -> None:
        if chunk < 1:
            raise JambaError(f"chunk = {chunk} must be a positive number of tokens")
        self.model = model
        self.snapshots = snapshots
        self._chunk = chunk
        self._decoder = Decoder(model)
        self._fingerprint = "" if snapshots is None else fingerprint(model)
        self._waiting: SimpleQueue[Request | None] = SimpleQueue()
        self._open: set[Request] = set()
        self._is_closed = False
        self._lock = Lock()
        self._thread = Thread(target=self._run, name="jamba-engine", daemon=True)
        self._thread.start()

    def submit(
        self,
        prompt_ids: Sequence[int],
        params: SamplingParams | None = None,
        *,
        boundaries: Sequence[int] = (),
        tags: Sequence[str] = (),
    ) -> Request:
        """Queue a prompt; its tokens come from `stream`.

        `boundaries` are numbers of prompt tokens after which other prompts may go on differently;
        `tags` name what was read, for `SnapshotStore.forget`. Raises JambaError on an empty or too
        long prompt, an unknown token id, a boundary outside the prompt, or a closed engine.
        """
        prompt = tuple(int(token) for token in prompt_ids)
        params = params or SamplingParams()
        self._check_prompt(prompt, boundaries)
        self._check_ids("logit_bias", params.logit_bias)
        request = Request(
            prompt=prompt,
            params=params,
            boundaries=tuple(sorted({*boundaries, len(prompt)} - {0})),
            tags=frozenset(tags),
            submitted_at=time.perf_counter(),
            asked_at=0 if self.snapshots is None else self.snapshots.now,
            metrics=Metrics(prompt_tokens=len(prompt)),
        )
        with self._lock:
            if self._is_closed:
                raise JambaError("the engine is closed")
            self._open.add(request)
            self._waiting.put(request)
        return request

    def stream(self, request: Request) -> Iterator[int]:
        """The tokens of a request as they are made, without the one that ended it.

        A reader who stops early cancels the request; an error in the engine is raised here.
        """
        try:
            yield from request.tokens()
        finally:
            self.cancel(request)

    def cancel(self, request: Request, reason: FinishReason = FinishReason.CANCELLED) -> None:
        """End a request, waiting or running; nothing happens where it has ended."""
        request.finish(reason)

    def close(self) -> None:
        """Cancel what is open and end the thread; safe to call twice."""
        with self._lock:
            self._is_closed = True
            waiting = list(self._open)
        for request in waiting:
            self.cancel(request)
        self._waiting.put(None)
        self._thread.join()

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
        while (request := self._waiting.get()) is not None:
            try:
                with torch.inference_mode():
                    self._serve(request)
            except BaseException as error:  # the reader gets it; the next request is not to blame
                request.fail(error)
            with self._lock:
                self._open.discard(request)
            if self.snapshots is not None:
                self.snapshots.flush()

    def _serve(self, request: Request) -> None:
        prefilled = self._prefill(request)
        if prefilled is not None:
            self._decode(request, *prefilled)

    def _prefill(self, request: Request) -> tuple[SequenceState, Tensor] | None:
        """Restore or read the prompt: the state and the logits (V,) after it; None if stopped."""
        found = self._find(request)
        state = found.state
        if state is None:
            state = SequenceState.fresh(self.model.config)
        logits = found.logits
        for end in request.boundaries:
            while state.length < end:
                if request.is_stopped:
                    return None
                upto = min(end, state.length + self._chunk)
                hidden = self.model.hidden(_row(request.prompt[state.length : upto]), state)
                if state.length == end:
                    logits = self.model.head(hidden[0, -1])
                    self._put(request, state, logits)
        if logits is None:
            raise AssertionError("a prompt's end is a boundary, so its logits are known")
        return state, logits

    def _find(self, request: Request) -> Found:
        if self.snapshots is None:
            request.metrics.miss_reason = MissReason.OFF
            return Found()
        found = self.snapshots.find(
            self._fingerprint, self.model.config, request.prompt, request.boundaries
        )
        metrics = request.metrics
        metrics.cached_tokens = 0 if found.state is None else found.state.length
        metrics.restored_from, metrics.miss_reason = found.source, found.miss_reason
        return found

    def _put(self, request: Request, state: SequenceState, logits: Tensor) -> None:
        if self.snapshots is not None:
            self.snapshots.put(
                self._fingerprint, request.prompt, state, logits, request.tags, request.asked_at
            )

    def _decode(self, request: Request, state: SequenceState, logits: Tensor) -> None:
        """Choose a token, hand it out, read it; until something ends the request."""
        params = request.params
        rng = np.random.default_rng(params.seed)
        ends = {*params.stop_ids} if params.ignore_eos else {*params.stop_ids, *self._eos}
        scores = logits.numpy()
        while not request.is_stopped:
            token = choose(scores, params, rng, request.prompt, request.generated)
            if token is None or token in ends:
                return request.finish(FinishReason.STOP)
            self._emit(request, token)
            if len(request.generated) >= params.max_tokens or self._is_full(state):
                return request.finish(FinishReason.LENGTH)
            scores = self._decoder.step([token], [state])[0]

    def _emit(self, request: Request, token: int) -> None:
        now = time.perf_counter() - request.submitted_at
        metrics = request.metrics
        if metrics.ttft_s is None:
            metrics.ttft_s = now
        metrics.decode_s = now - metrics.ttft_s
        metrics.generated_tokens += 1
        request.emit(token)

    @property
    def _eos(self) -> tuple[int, ...]:
        return self.model.config.eos_token_ids

    def _is_full(self, state: SequenceState) -> bool:
        """Whether the model's context has no room for another token."""
        return state.length + 1 >= self.model.config.max_position_embeddings


def _row(tokens: Sequence[int]) -> Tensor:
    return torch.tensor([tokens], dtype=torch.int64)  # (1, T)
