"""Child processes that write to an index until SIGKILL ends them, at a step or at any moment."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from random import Random
from typing import Any

# Children come out of a process that has neither a JVM nor threads, so that forking it is safe.
CONTEXT = multiprocessing.get_context("forkserver")
FIRST_WAIT = 0.3  # seconds, while nobody has told how long a step takes
PATIENCE = 240


def die_at(owner: Any, name: str, when: str) -> None:
    """From now on calling `owner.name` ends this process: "before" it does anything, or "after"."""
    real = getattr(owner, name)

    def dying(*args: Any, **kwargs: Any) -> None:
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, name, dying)


def dies(child: Callable[..., None], *args: Any) -> None:
    """Run `child(*args)`, a module's function, in a process of its own that kills itself."""
    process = CONTEXT.Process(target=child, args=args)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL


def killed_at_random(random: Random, steps: int, child: Callable[..., None], *args: Any) -> Any:
    """Kill `child(*args, tell)` in its step 1 to `steps`; returns what it told last.

    The child calls `tell(value)` when it begins and after each step, and does not end by itself.
    It is killed after as many calls as are drawn, and a drawn part of the time between two.
    """
    calls, part = random.randint(1, steps), random.random()
    receiver, sender = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_tell, args=(child, args, sender))
    process.start()
    sender.close()
    before, now = 0.0, FIRST_WAIT
    for _ in range(calls):
        assert receiver.poll(PATIENCE), "the child hangs"
        told = receiver.recv()
        before, now = now, time.monotonic()
    time.sleep(part * (now - before if calls > 1 else FIRST_WAIT))
    process.kill()
    process.join(PATIENCE)
    assert process.exitcode == -signal.SIGKILL
    try:
        while True:
            told = receiver.recv()
    except EOFError:
        return told


def _tell(child: Callable[..., None], args: tuple[Any, ...], sender: Any) -> None:
    child(*args, sender.send)
    signal.pause()  # it is killed even when it was quick
