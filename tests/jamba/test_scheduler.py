"""Who runs next, without a model: a step is played by hand and costs nothing."""

import random
import subprocess
import sys

import pytest

from jamba.config import JambaError
from jamba.sampling import Chosen, SamplingParams
from jamba.scheduler import Limits, QueueFull, Scheduler
from jamba.sequence import FinishReason, Request

CHUNK = 4


class Played:
    """A scheduler with a model that makes the number of tokens made so far its next token."""

    def __init__(self, cost=lambda tokens: tokens, **limits):
        self.scheduler = Scheduler(Limits(**{"chunk": CHUNK, **limits}), cost)
        self.arrived = 0

    def add(self, prompt=4, user="", tokens=3):
        request = Request(
            prompt=(7,) * prompt,
            params=SamplingParams(),
            boundaries=(prompt,),
            max_tokens=tokens,
            user=user,
            number=self.arrived,
        )
        self.arrived += 1
        self.scheduler.add(request)
        return request

    def step(self):
        batch = self.scheduler.next()
        chosen = {}
        for request in batch.writing:
            assert request.state is not None
            request.read += 1
            if request.read == request.length:
                chosen[request] = Chosen(len(request.generated))
        if (request := batch.reading) is not None:
            request.state = "a state"
            request.read = min(request.read + CHUNK, len(request.prompt))
            if request.read == request.length:
                chosen[request] = Chosen(0)
        self.scheduler.finish(chosen)
        return batch

    def run(self, steps=10_000):
        """Steps until nothing is left to do; the batches."""
        batches = []
        while batch := self.step():
            batches.append(batch)
            assert len(batches) < steps, "it does not end"
        return batches


def test_one_request_is_read_part_by_part_and_then_written():
    played = Played()
    request = played.add(prompt=10, tokens=3)
    batches = played.run()
    assert [batch.reading for batch in batches] == [request] * 3 + [None] * 2
    assert [batch.writing for batch in batches] == [()] * 3 + [(request,)] * 2
    assert request.generated == [0, 1, 2]
    assert (request.finish_reason, request.state) == (FinishReason.LENGTH, None)
    assert not played.scheduler.next()


def test_a_long_newcomer_holds_a_stream_up_for_one_part_at_a_time():
    played = Played()
    stream = played.add(tokens=30)
    played.step()
    newcomer = played.add(prompt=40)
    for made in range(2, 12):
        batch = played.step()
        assert (batch.reading, batch.writing) == (newcomer, (stream,))
        assert len(stream.generated) == made


def test_users_take_turns_and_a_users_requests_keep_their_order():
    played = Played()
    first, second = played.add(prompt=12, user="a"), played.add(prompt=8, user="a")
    other = played.add(prompt=8, user="b")
    read = [batch.reading for batch in played.run() if batch.reading]
    assert read == [first, other, first, other, first, second, second]


def test_a_short_question_waits_for_one_part_of_each_other_user():
    played = Played()
    for user in "abc":
        played.add(prompt=400, user=user)
    for _ in range(7):
        played.step()
    asked = played.add(prompt=3, user="d")
    for _ in range(4):
        played.step()
    assert asked.generated


def test_who_runs_least_comes_in_first():
    played = Played(running=2)
    running = [played.add(user="a", tokens=4) for _ in range(2)]
    played.step()
    waiting = [played.add(user="a"), played.add(user="b")]
    played.step()
    assert played.scheduler.requests[:2] == (running[0], waiting[1])
    assert running[1].metrics.preemptions == 1  # b ran nothing, a two
    played.run()
    assert all(request.finish_reason == "length" for request in (*running, *waiting))


def test_who_gave_way_keeps_its_tokens_and_reads_them_again():
    played = Played(state_bytes=40)
    old, new = played.add(prompt=8, tokens=20), played.add(prompt=8, tokens=12)
    while not new.metrics.preemptions:
        played.step()
        assert old.read + new.read <= 40
    kept = list(new.generated)
    assert kept
    assert (new.state, new.read) == (None, 0)
    played.run()
    assert new.generated == list(range(12))
    assert new.generated[: len(kept)] == kept
    assert old.generated == list(range(20))
    assert old.metrics.preemptions == 0


def test_alone_without_room_a_sequence_ends():
    played = Played(state_bytes=20)
    request = played.add(prompt=8, tokens=100)
    played.run()
    assert request.finish_reason == "length"
    assert request.length + 1 == 21


def test_nobody_gives_way_in_vain():
    """A newcomer for whom there would be no room even then waits, and nobody overtakes it."""
    played = Played(state_bytes=60)
    small = [played.add(prompt=4, user="a", tokens=4) for _ in range(3)]
    played.step()
    large = played.add(prompt=57, user="b", tokens=2)
    overtaking = played.add(prompt=4, user="c")
    played.step()
    assert large not in played.scheduler.requests[:3]
    assert sum(each.metrics.preemptions for each in small) == 0
    played.run()
    ends = [(each.finish_reason, bool(each.generated)) for each in (*small, large, overtaking)]
    assert ends == [("length", True)] * 5


def test_cancelling_frees_at_once():
    played = Played(running=1, waiting=2)
    running, first, second = played.add(tokens=1000), played.add(), None
    played.step()
    second = played.add()
    with pytest.raises(QueueFull):
        played.add()
    first.finish(FinishReason.CANCELLED)
    played.add()  # its place in the queue is free before any step
    running.finish(FinishReason.CANCELLED)
    assert played.scheduler.next().reading is second
    assert running.state is None


def test_a_full_queue_is_one_clear_refusal():
    played = Played(waiting=3)
    for _ in range(3):
        played.add()
    with pytest.raises(QueueFull, match="3 requests are waiting"):
        played.add()
    assert issubclass(QueueFull, JambaError)
    assert len(played.run()) > 0


def test_a_prompt_that_can_never_fit_is_refused():
    with pytest.raises(JambaError, match="state_bytes = 20"):
        Played(state_bytes=20).add(prompt=20)


@pytest.mark.parametrize("wrong", ["chunk", "running", "waiting", "state_bytes"])
def test_limits_must_be_positive(wrong):
    with pytest.raises(JambaError, match=wrong):
        Limits(**{wrong: 0})


@pytest.mark.parametrize("seed", range(30))
def test_random_traffic_ends_with_everyone_served(seed):
    """Arrivals, cancels and little memory: whoever stays gets all tokens, once and in order."""
    rng = random.Random(seed)
    played = Played(running=rng.randint(1, 5), state_bytes=rng.randint(60, 200))
    requests, cancelled = [], set()
    for _ in range(300):
        if rng.random() < 0.3:
            user = rng.choice("abc")
            requests.append(played.add(rng.randint(1, 40), user, rng.randint(1, 15)))
        if requests and rng.random() < 0.05:
            victim = rng.choice(requests)
            victim.finish(FinishReason.CANCELLED)
            cancelled.add(victim)
        played.step()
        running = [each for each in requests if each.state is not None]
        assert len(running) <= played.scheduler._limits.running
        assert sum(each.read for each in running) <= played.scheduler._limits.state_bytes
    played.run()
    for request in requests:
        assert request.state is None
        assert request.generated == list(range(len(request.generated)))
        if request.finish_reason != "cancelled":
            assert len(request.generated) == request.max_tokens


def test_it_needs_no_torch():
    code = "import sys, jamba.scheduler; sys.exit('torch' in sys.modules or 'numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
