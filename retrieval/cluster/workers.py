"""Shares of work for Ray actors that may die: each result once, in the order of the shares.

A share is a pure function's argument. One whose worker died, or whose result was lost with a
machine, goes to another worker, and then by itself: which of two shares a worker died of cannot be
told, since the first may be done and its result on the way. A worker that died is replaced, and is
waited for by nobody.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from retrieval.cluster.connection import ClusterError
from retrieval.types import RetrievalError

ATTEMPTS = 4  # of a share, and of starting a worker: what kills so many is not an accident
SLOTS = 2  # shares a worker has at a time, so that it need not wait for the next one
AHEAD = 4  # shares a worker that may be out or wait for their turn
PATIENCE = 300.0  # seconds without any worker, while the cluster has no room


@dataclass(frozen=True, slots=True)
class _Share:
    number: int
    content: Any
    deaths: int = 0  # of workers that had it

    @property
    def slots(self) -> int:
        """How many of a worker's slots it takes: all of them where it may be what kills."""
        return SLOTS if self.deaths else 1


class Workers:
    """`count` actors, each made by `start()`, with the methods `ready()` and `work(share)`."""

    def __init__(self, ray: Any, start: Callable[[], Any], count: int) -> None:
        self._ray = ray
        self._start = start
        self._count = count
        self._dead_before_ready = 0
        self._starting: dict[Any, Any] = {}  # workers by the reference to their `ready()`
        self._out: dict[Any, tuple[Any, _Share]] = {}  # by the reference to the result
        self._free: list[Any] = []  # a worker for each slot
        self._alive: set[Any] = set()

    def close(self) -> None:
        """End every worker; what they were doing is lost."""
        if self._ray.is_initialized():  # else they have ended, and asking would end this process
            for worker in (*self._starting.values(), *self._alive):
                self._ray.kill(worker)

    def map(self, contents: Iterable[Any]) -> Iterator[Any]:
        """What `work` makes of each, in order; raises what it raises, or ClusterError."""
        shares = _Shares(contents, AHEAD * self._count)
        while True:
            self._hand_out(shares)
            if not shares.outstanding:
                return
            self._next_event(shares)
            yield from shares.in_turn()

    def _hand_out(self, shares: "_Shares") -> None:
        while share := shares.next():
            if not self._starting and not self._alive:
                for _ in range(self._count):
                    self._add()
            worker = self._free_for(share)
            if worker is None:
                shares.put_back(share)
                return
            self._out[worker.work.remote(share.content)] = worker, share

    def _free_for(self, share: _Share) -> Any | None:
        """A worker with the slots that a share takes, which are free no more; None without one."""
        for worker in self._free:
            if self._free.count(worker) >= share.slots:
                for _ in range(share.slots):
                    self._free.remove(worker)
                return worker
        return None

    def _next_event(self, shares: "_Shares") -> None:
        """Wait until a worker is ready, or a share is done or has to be done again."""
        patience = None if self._alive else PATIENCE
        references = [*self._out, *self._starting]
        ready, _ = self._ray.wait(references, num_returns=1, timeout=patience)
        if not ready:
            raise ClusterError(
                f"no worker could be started in {PATIENCE:.0f} s: has the cluster a free CPU?"
            )
        (reference,) = ready
        if reference in self._starting:
            self._welcome(reference)
            return
        worker, share = self._out[reference]
        try:
            shares.done(share, self._got(reference))
        except _Lost as lost:
            self._bury(worker, shares, lost)
        else:
            del self._out[reference]
            self._free += [worker] * share.slots

    def _welcome(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            self._got(reference)
        except _Lost as lost:
            self._dead_before_ready += 1
            if self._dead_before_ready == ATTEMPTS:
                raise ClusterError(f"workers do not start: {lost}") from lost
            self._add()
        else:
            self._dead_before_ready = 0
            self._alive.add(worker)
            self._free += [worker] * SLOTS

    def _bury(self, worker: Any, shares: "_Shares", lost: "_Lost") -> None:
        """Replace a worker; each of its shares may be what it died of."""
        references = [each for each, (owner, _) in self._out.items() if owner == worker]
        for reference in reversed(references):  # the last put back is the next to be done
            shares.put_back(_tried(self._out.pop(reference)[1], lost))
        self._alive.remove(worker)
        self._free = [free for free in self._free if free != worker]
        self._ray.kill(worker)  # it may live, if only a result was lost
        self._add()

    def _add(self) -> None:
        worker = self._start()
        self._starting[worker.ready.remote()] = worker

    def _got(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise plain(error) from error
        except (errors.RayActorError, errors.ObjectLostError, errors.OutOfMemoryError) as error:
            raise _Lost(str(error).strip().splitlines()[0]) from error


class _Shares:
    """What is to be done, at most `ahead` shares before the next one in turn is done."""

    def __init__(self, contents: Iterable[Any], ahead: int) -> None:
        self._new = (_Share(number, content) for number, content in enumerate(contents))
        self._ahead = ahead
        self._again: list[_Share] = []
        self._done: dict[int, Any] = {}
        self._taken = self._given = 0

    @property
    def outstanding(self) -> bool:
        """Whether a share was taken whose result was not given yet."""
        return self._given < self._taken

    def next(self) -> _Share | None:
        """The next share, None while there is none to be taken."""
        if self._again:
            return self._again.pop()
        if self._taken - self._given >= self._ahead:
            return None
        share = next(self._new, None)
        self._taken += share is not None
        return share

    def put_back(self, share: _Share) -> None:
        """It was not done."""
        self._again.append(share)

    def done(self, share: _Share, result: Any) -> None:
        """Keep its result until its turn."""
        self._done[share.number] = result

    def in_turn(self) -> Iterator[Any]:
        """The results whose turn it is."""
        while self._given in self._done:
            self._given += 1
            yield self._done.pop(self._given - 1)


class _Lost(Exception):
    """A worker, or what it made, is no more."""


def plain(error: Any) -> Exception:
    """What a worker raised: ours as it is, with its message for a person."""
    cause: Exception = error.cause
    return cause if isinstance(cause, RetrievalError | OSError) else error


def _tried(share: _Share, lost: _Lost) -> _Share:
    if share.deaths + 1 == ATTEMPTS:
        raise ClusterError(f"{ATTEMPTS} workers died of the same share: {share.content}: {lost}")
    return replace(share, deaths=share.deaths + 1)
