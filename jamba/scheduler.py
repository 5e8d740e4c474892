"""Who runs next: the plan of one short step after another. It knows no model and no tensor.

A step reads a part of one prompt and makes a token for each sequence whose prompt is read, so a
newcomer holds a running stream up for one part of its prompt and no longer. Users take turns, the
requests of one user keep their order, and nobody overtakes the one whose turn it is. Where room is
short, the newest request of the user who runs most gives way: its state is dropped, its tokens and
its random numbers stay, and what it had read and written is read again before it goes on.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

from jamba.config import JambaError
from jamba.sampling import Chosen
from jamba.sequence import FinishReason, Request


class QueueFull(JambaError):
    """No more requests are taken in for the moment; to be asked again later."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is done at once; raises JambaError on a limit that is not positive."""

    chunk: int = 512  # prompt tokens read in a step
    running: int = 64  # sequences that have a state, whether they still read or write already
    waiting: int = 256  # requests in the queue; one more is refused
    state_bytes: int = 2**32  # of all running sequences' states

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise JambaError(f"{field.name} = {getattr(self, field.name)} must be positive")


@dataclass(frozen=True, slots=True)
class Batch:
    """One step: whose prompt is read on, and who gets a token."""

    reading: Request | None
    writing: tuple[Request, ...]

    def __bool__(self) -> bool:
        return self.reading is not None or bool(self.writing)


class Scheduler:
    """Requests waiting and running. `cost` gives the bytes of a state after so many tokens.

    `next` says what a step does, `finish` takes what came of it; a step in between is the model's.
    """

    def __init__(self, limits: Limits, cost: Callable[[int], int]) -> None:
        self._limits, self._cost = limits, cost
        self._waiting: list[Request] = []  # both in the order of arrival
        self._running: list[Request] = []
        self._held: set[Request] = set()  # of the waiting, until their states are fetched
        self._turns: dict[str, int] = {}  # user -> the step in which a prompt of theirs was read
        self._steps = 0

    def add(self, request: Request, is_held: bool = False) -> None:
        """Let a request in; one that is held waits for its `release` as well as for its turn.

        Raises QueueFull, and JambaError where its prompt can never fit.
        """
        self._drop_stopped()
        if len(self._waiting) >= self._limits.waiting:
            raise QueueFull(
                f"{len(self._waiting)} requests are waiting, which is the limit; try again later"
            )
        needed = self._cost(len(request.prompt) + 1)
        if needed > self._limits.state_bytes:
            raise JambaError(
                f"a state after {len(request.prompt)} tokens takes {needed} bytes; "
                f"the limit is state_bytes = {self._limits.state_bytes}"
            )
        self._waiting.append(request)
        if is_held:
            self._held.add(request)

    def release(self, request: Request) -> None:
        """Let a request that was held take its turn."""
        self._held.discard(request)

    def next(self) -> Batch:
        """The next step; empty where there is nothing to do."""
        self._drop_stopped()
        self._make_room()
        self._admit()
        self._steps += 1
        reading = min(
            (request for request in self._running if request.is_reading),
            key=self._turn,
            default=None,
        )
        if reading is not None:
            self._turns[reading.user] = self._steps
        return Batch(reading, tuple(each for each in self._running if not each.is_reading))

    def finish(self, chosen: Mapping[Request, Chosen | None]) -> None:
        """Hand out what a step chose, and let go of who has come to an end."""
        for request, choice in chosen.items():
            request.take(choice)
        self._drop_stopped()

    @property
    def counts(self) -> tuple[int, int]:
        """How many run and how many wait."""
        return len(self._running), len(self._waiting)

    @property
    def requests(self) -> tuple[Request, ...]:
        """All that run and all that wait."""
        return *self._running, *self._waiting

    def _turn(self, request: Request) -> tuple[int, int]:
        """Sorts requests: whose user was served longest ago, then who came first."""
        return self._turns.get(request.user, 0), request.number

    def _drop_stopped(self) -> None:
        for request in self._running:
            if request.is_stopped:
                request.state = None
        self._running = [each for each in self._running if not each.is_stopped]
        self._waiting = [each for each in self._waiting if not each.is_stopped]
        self._held.intersection_update(self._waiting)
        here = {request.user for request in (*self._running, *self._waiting)}
        self._turns = {user: step for user, step in self._turns.items() if user in here}

    def _make_room(self) -> None:
        """Preempt until the states that have grown fit; one that is alone ends instead."""
        while self._bytes(self._running) > self._limits.state_bytes:
            victim = _newest_of_the_busiest(self._running)
            if len(self._running) > 1:
                self._preempt(victim)
            else:
                victim.finish(FinishReason.LENGTH)
                self._drop_stopped()

    def _admit(self) -> None:
        """Let the waiting in while there is room: first those whose user runs least."""
        while ready := [request for request in self._waiting if request not in self._held]:
            runs = Counter(request.user for request in self._running)
            first = min(ready, key=lambda r: (runs[r.user], *self._turn(r)))
            victims = self._victims(first)
            if victims is None:
                return
            for victim in victims:
                self._preempt(victim)
            self._waiting.remove(first)
            self._running.append(first)
            self._running.sort(key=lambda request: request.number)

    def _victims(self, newcomer: Request) -> list[Request] | None:
        """Who gives way to a newcomer; None where it does not fit and no user runs two more."""
        kept, victims = list(self._running), []
        while not self._fits([*kept, newcomer]):
            victim = _newest_of_the_busiest(kept) if kept else newcomer
            runs = Counter(request.user for request in kept)
            if runs[victim.user] < runs[newcomer.user] + 2:
                return None
            kept.remove(victim)
            victims.append(victim)
        return victims

    def _fits(self, requests: Sequence[Request]) -> bool:
        few = len(requests) <= self._limits.running
        return few and self._bytes(requests) <= self._limits.state_bytes

    def _bytes(self, requests: Sequence[Request]) -> int:
        """Of their states, the whole prompt read and one more token made."""
        return sum(self._cost(request.length + 1) for request in requests)

    def _preempt(self, request: Request) -> None:
        self._running.remove(request)
        request.rewind()
        self._waiting.append(request)
        self._waiting.sort(key=lambda each: each.number)


def _newest_of_the_busiest(running: Sequence[Request]) -> Request:
    """Of the user with most requests, the one that came last."""
    runs = Counter(request.user for request in running)
    return max(running, key=lambda request: (runs[request.user], request.number))
