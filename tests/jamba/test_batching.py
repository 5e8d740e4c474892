"""Many requests in one engine: each gets the text it would have got alone."""

import random
import threading
import time

import pytest

from jamba.cache.snapshots import SnapshotStore
from jamba.engine import Engine
from jamba.sampling import SamplingParams
from jamba.scheduler import Limits, QueueFull
from jamba.state import SequenceState, room_for, state_bytes
from tests.jamba.random_models import VOCABULARY


def drawn_requests(seed, count=14):
    """Prompts with shared beginnings, and every way of sampling."""
    rng = random.Random(seed)
    stems = [[rng.randrange(VOCABULARY) for _ in range(rng.randint(3, 30))] for _ in range(3)]
    requests = []
    for number in range(count):
        stem = rng.choice(stems)
        prompt = stem + [rng.randrange(VOCABULARY) for _ in range(rng.randint(0, 20))]
        params = SamplingParams(
            max_tokens=rng.randint(1, 40),
            temperature=rng.choice([0.0, 0.7, 1.5]),
            top_p=rng.choice([1.0, 0.9]),
            top_k=rng.choice([None, 20]),
            min_p=rng.choice([0.0, 0.02]),
            repetition_penalty=rng.choice([1.0, 1.2]),
            seed=number,
            logprobs=2,
            ignore_eos=rng.random() < 0.7,
        )
        requests.append(
            (prompt, params, [len(stem)] if rng.random() < 0.5 else [], f"u{number % 3}")
        )
    return requests


def ask(engine, prompt, params, boundaries, user):
    request = engine.submit(prompt, params, boundaries=boundaries, user=user)
    list(engine.stream(request))
    return request


def text_of(request):
    return request.generated, [choice.logprob for choice in request.chosen], request.finish_reason


@pytest.mark.parametrize("seed", range(6))
def test_company_memory_and_preemption_change_no_bit(model, seed):
    """Alone, and among strangers who come at random times, with room for two or three states."""
    requests, rng = drawn_requests(seed), random.Random(seed)
    with Engine(model, limits=Limits(chunk=7)) as engine:
        alone = [text_of(ask(engine, *each)) for each in requests]
    room = rng.choice([2, 3, 50]) * state_bytes(model.config, 100)
    together = [None] * len(requests)
    with Engine(
        model, limits=Limits(chunk=7, running=rng.choice([4, 20]), state_bytes=room)
    ) as engine:

        def serve(place, wait):
            time.sleep(wait)
            together[place] = ask(engine, *requests[place])

        threads = [
            threading.Thread(target=serve, args=(place, rng.random() * 0.2))
            for place in range(len(requests))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [text_of(each) for each in together] == alone


def test_preemption_happens_and_goes_on_where_it_was(model):
    """Two users with room for one long and one short state: someone has to give way."""
    params = SamplingParams(max_tokens=300, ignore_eos=True, temperature=1.0, seed=3)
    with Engine(model) as engine:
        alone = text_of(ask(engine, [1, 2, 3], params, [], ""))
    room = 2 * state_bytes(model.config, 200)
    with Engine(model, SnapshotStore(), Limits(state_bytes=room)) as engine:
        requests = [engine.submit([1, 2, 3], params, user=user) for user in "ab"]
        texts = [list(engine.stream(request)) for request in requests]
    assert texts == [alone[0]] * 2
    assert sum(request.metrics.preemptions for request in requests) > 0


def test_a_newcomer_does_not_wait_for_a_long_answer(model):
    with Engine(model) as engine:
        long = engine.submit([5, 6], SamplingParams(max_tokens=100_000, ignore_eos=True))
        stream = engine.stream(long)
        next(stream)
        short = ask(engine, [8, 9], SamplingParams(max_tokens=5, ignore_eos=True), [], "")
        assert len(short.generated) == 5
        assert not long.is_stopped
        engine.cancel(long)


def test_a_full_queue_refuses_and_recovers(model):
    endless = SamplingParams(max_tokens=100_000, ignore_eos=True)
    with Engine(model, limits=Limits(running=1, waiting=2)) as engine:
        running = engine.submit([1], endless)
        stream = engine.stream(running)
        next(stream)
        waiting = [engine.submit([2], endless) for _ in range(2)]
        with pytest.raises(QueueFull):
            engine.submit([3], endless)
        engine.cancel(waiting[0])
        again = engine.submit([3], SamplingParams(max_tokens=2, ignore_eos=True))
        engine.cancel(running)
        engine.cancel(waiting[1])
        assert len(list(engine.stream(again))) == 2


def test_a_state_takes_what_was_reckoned(model):
    for tokens in (1, 255, 256, 257, 1000):
        state = SequenceState.fresh(model.config)
        for layer in state.layers:
            if hasattr(layer, "keys"):
                shape = (1, model.config.num_key_value_heads, tokens, model.config.head_size)
                layer.append(layer.keys.new_zeros(shape), layer.keys.new_zeros(shape))
        held = [t for layer in state.layers for t in _tensors(layer)]
        assert sum(tensor.nbytes for tensor in held) == state_bytes(model.config, tokens)
    assert [room_for(tokens) for tokens in (1, 256, 257, 513)] == [256, 256, 512, 1024]


def _tensors(layer):
    return [layer.keys, layer.values] if hasattr(layer, "keys") else [layer.window, layer.ssm]


def test_a_failing_step_ends_its_requests_and_no_more(model, monkeypatch):
    with Engine(model) as engine:
        decoder = engine._decoder
        step = decoder.step
        monkeypatch.setattr(decoder, "step", lambda tokens, states: 1 / 0)
        request = engine.submit([1, 2], SamplingParams(max_tokens=5, ignore_eos=True))
        with pytest.raises(ZeroDivisionError):
            list(engine.stream(request))
        monkeypatch.setattr(decoder, "step", step)
        again = engine.submit([1, 2], SamplingParams(max_tokens=5, ignore_eos=True))
        assert len(list(engine.stream(again))) == 5


def test_a_fault_of_the_engine_leaves_nobody_waiting(model, monkeypatch):
    engine = Engine(model)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    monkeypatch.setattr(engine._scheduler, "finish", lambda chosen: 1 / 0)
    request = engine.submit([1, 2], SamplingParams(max_tokens=5, ignore_eos=True))
    with pytest.raises(ZeroDivisionError):
        list(engine.stream(request))
    engine.close()
