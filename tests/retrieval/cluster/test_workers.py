"""Each result once and in order, from workers that die or fail."""

import os
import signal
import time
from pathlib import Path

import pytest

from retrieval.cluster.connection import ClusterError, connected
from retrieval.cluster.workers import ATTEMPTS, Workers
from retrieval.types import RetrievalError

pytestmark = pytest.mark.slow

SHARES = 30


class Doubler:
    """Doubles numbers; leaves a mark when it begins one, and dies of some."""

    def __init__(self, marks: Path, dies_of: tuple[int, ...], attempts: int) -> None:
        self.marks, self.dies_of, self.attempts = marks, dies_of, attempts

    def ready(self) -> None:
        pass

    def work(self, number: int) -> int:
        if number < 0:
            raise RetrievalError(f"{number} is no number of ours")
        time.sleep(0.02 * (number % 3))  # they end in another order
        begun = len(list(self.marks.glob(f"{number}-*")))
        (self.marks / f"{number}-{begun}").touch()
        if number in self.dies_of and begun < self.attempts:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number


@pytest.fixture
def workers(nodes, tmp_path):
    with connected(nodes.address) as ray:
        made = []

        def make(*dies_of, attempts=ATTEMPTS):
            actor = ray.remote(num_cpus=1)(Doubler)
            made.append(Workers(ray, lambda: actor.remote(tmp_path, dies_of, attempts), 2))
            return made[-1]

        yield make
        for each in made:
            each.close()


def test_deaths_neither_lose_nor_double_nor_reorder(workers, tmp_path):
    doubled = workers(0, 7, 8, attempts=1)
    assert list(doubled.map(iter(range(SHARES)))) == [2 * n for n in range(SHARES)]
    assert len(list(tmp_path.glob("7-*"))) == 2
    assert list(doubled.map([5])) == [10]
    assert list(doubled.map([])) == []


def test_a_share_that_kills_every_worker_is_named(workers, tmp_path):
    with pytest.raises(ClusterError, match=f"{ATTEMPTS} workers died of the same share: 3:"):
        list(workers(3).map(range(SHARES)))
    assert len(list(tmp_path.glob("3-*"))) == ATTEMPTS


def test_what_a_worker_raises_is_raised(workers):
    with pytest.raises(RetrievalError, match="-1 is no number of ours"):
        list(workers().map([1, -1, 2]))
