"""The engine from outside: what it streams, what it measures, how it ends."""

import threading
import time
from typing import Any

import pytest
import torch

from jamba.cache.snapshots import MissReason, SnapshotStore
from jamba.config import JambaError
from jamba.engine import Engine
from jamba.network.weights import load_model
from jamba.sampling import SamplingParams
from jamba.scheduler import Limits

PROMPT = [5, 9, 31, 77, 2, 2, 45, 13, 8, 90, 54, 33, 21, 60, 7, 19]


def greedy(**changes: Any) -> SamplingParams:
    return SamplingParams(**{"max_tokens": 12, "ignore_eos": True, **changes})


def by_hand(model, prompt, count):
    """Greedy tokens by reading everything again for each."""
    tokens = list(prompt)
    for _ in range(count):
        tokens.append(int(model.logits(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[len(prompt) :]


@pytest.fixture(scope="module")
def engine(model):
    with Engine(model, SnapshotStore()) as engine:
        yield engine


def answer(engine, prompt=PROMPT, params=None, **more):
    request = engine.submit(prompt, params or greedy(), **more)
    return list(engine.stream(request)), request


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 16, 100])
def test_any_chunking_gives_the_same_tokens(model, chunk):
    with Engine(model, limits=Limits(chunk=chunk)) as engine:
        tokens, request = answer(engine)
    assert tokens == by_hand(model, PROMPT, 12)
    assert request.finish_reason == "length"


def test_any_boundaries_give_the_same_tokens(model):
    expected = by_hand(model, PROMPT, 12)
    for boundaries in ([], [1], [16], [3, 7, 15], list(range(17))):
        with Engine(model, SnapshotStore(), Limits(chunk=4)) as engine:
            assert answer(engine, boundaries=boundaries)[0] == expected
            tokens, request = answer(engine, boundaries=boundaries)
            assert tokens == expected
            assert request.metrics.cached_tokens == 16


def test_metrics_of_a_new_a_continued_and_a_repeated_prompt(model):
    with Engine(model, SnapshotStore()) as engine:
        _, new = answer(engine, boundaries=[6, 10])
        _, other_end = answer(engine, [*PROMPT[:10], 1, 2], boundaries=[6, 10])
        _, repeated = answer(engine, boundaries=[6, 10])
    assert (new.metrics.prompt_tokens, new.metrics.cached_tokens) == (16, 0)
    assert (new.metrics.restored_from, new.metrics.miss_reason) == ("none", MissReason.NEW)
    assert (other_end.metrics.cached_tokens, other_end.metrics.restored_from) == (10, "memory")
    assert (repeated.metrics.cached_tokens, repeated.metrics.miss_reason) == (16, None)
    for request in (new, other_end, repeated):
        assert request.metrics.generated_tokens == 12
        assert request.metrics.ttft_s > 0
        assert request.metrics.decode_s > 0


def test_an_exact_repeat_reads_nothing(model, monkeypatch):
    with Engine(model, SnapshotStore()) as engine:
        first, _ = answer(engine, params=greedy(max_tokens=1))
        read = []
        monkeypatch.setattr(model, "hidden", lambda *args: read.append(args))
        again, _ = answer(engine, params=greedy(max_tokens=1))
    assert again == first
    assert read == []


def test_two_models_can_share_a_store(model, hybrid):
    other = load_model(hybrid.folder)
    other.model.layers[0].mamba.D.mul_(1.5)
    store = SnapshotStore()
    with Engine(model, store) as first, Engine(other, store) as second:
        answer(first)
        _, request = answer(second)
    assert request.metrics.cached_tokens == 0


def test_without_snapshots_the_reason_says_so(model):
    with Engine(model) as engine:
        _, request = answer(engine)
    assert request.metrics.miss_reason == MissReason.OFF


def test_forgetting_reaches_a_request_that_still_waits(model):
    store = SnapshotStore()
    with Engine(model, store) as engine:
        busy = engine.submit([1, 2, 3], greedy(max_tokens=200))
        waiting = engine.submit(PROMPT, greedy(), tags=["doc"])
        store.forget("doc")
        engine.cancel(busy)
        assert len(list(engine.stream(waiting))) == 12
        assert answer(engine)[1].metrics.cached_tokens == 0


def test_a_stop_token_ends_and_is_not_streamed(engine, model):
    expected = by_hand(model, PROMPT, 12)
    stop = expected[4]
    tokens, request = answer(engine, params=greedy(stop_ids=[stop]))
    assert tokens == expected[: expected.index(stop)]
    assert request.finish_reason == "stop"


def test_end_of_sequence_ends_unless_ignored(engine, model):
    eos = model.config.eos_token_ids[0]
    pushed = greedy(logit_bias={eos: 1e6}, ignore_eos=False)
    assert answer(engine, params=pushed)[0] == []
    pushed = greedy(logit_bias={eos: 1e6})
    assert answer(engine, params=pushed)[0] == [eos] * 12


def test_allowed_tokens_are_asked_for_before_each(engine):
    script = {0: [11, 12], 1: [13], 2: None, 3: []}
    tokens, request = answer(engine, params=greedy(allowed=lambda made: script[len(made)]))
    assert tokens[0] in (11, 12)
    assert tokens[1] == 13
    assert len(tokens) == 3
    assert request.finish_reason == "stop"


def test_a_seed_repeats_and_another_differs(engine):
    def drawn(seed):
        return answer(engine, params=greedy(temperature=2.0, seed=seed, max_tokens=40))[0]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_cancelling_a_running_request(engine):
    request = engine.submit(PROMPT, greedy(max_tokens=100_000))
    stream = engine.stream(request)
    assert next(stream) >= 0
    engine.cancel(request)
    began = time.perf_counter()
    list(stream)
    assert time.perf_counter() - began < 1
    assert request.finish_reason == "cancelled"
    assert len(answer(engine)[0]) == 12  # the engine goes on


def test_cancelling_a_waiting_request(engine):
    running = engine.submit(PROMPT, greedy(max_tokens=100_000))
    waiting = engine.submit(PROMPT, greedy())
    engine.cancel(waiting)
    assert list(engine.stream(waiting)) == []
    engine.cancel(running)


def test_a_reader_who_leaves_cancels(engine):
    request = engine.submit(PROMPT, greedy(max_tokens=100_000))
    for _ in engine.stream(request):
        break
    assert answer(engine)[0]
    assert request.finish_reason == "cancelled"


def test_many_threads_submit_at_once(model):
    expected = by_hand(model, PROMPT, 12)
    results = []
    with Engine(model, SnapshotStore()) as engine:

        def ask():
            results.append(answer(engine, boundaries=[8])[0])

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert results == [expected] * 12


def test_requests_are_served_in_order(engine):
    requests = [engine.submit([n + 1], greedy(max_tokens=3)) for n in range(8)]
    for request in reversed(requests):
        list(engine.stream(request))
    ends = [r.submitted_at + r.metrics.ttft_s for r in requests]
    assert ends == sorted(ends)


def test_an_error_inside_reaches_the_reader_and_harms_nobody_else(engine):
    def broken(made):
        raise ZeroDivisionError("a hook's own mistake")

    request = engine.submit(PROMPT, greedy(allowed=broken))
    with pytest.raises(ZeroDivisionError, match="own mistake"):
        list(engine.stream(request))
    assert list(engine.stream(request)) == []  # it has ended; nobody waits for ever
    assert len(answer(engine)[0]) == 12


def test_closing_cancels_and_refuses(model):
    engine = Engine(model)
    request = engine.submit(PROMPT, greedy(max_tokens=100_000))
    engine.close()
    list(engine.stream(request))
    assert request.finish_reason == "cancelled"
    with pytest.raises(JambaError, match="closed"):
        engine.submit(PROMPT)
    engine.close()


@pytest.mark.parametrize(
    ("prompt", "more", "said"),
    [
        ([], {}, "empty"),
        ([97], {}, r"0\.\.96"),
        ([-1], {}, r"0\.\.96"),
        ([1, 2], {"boundaries": [3]}, "boundaries"),
        ([1] * 262_144, {}, "fewer than"),
        ([1], {"params": greedy(logit_bias={-1: 1.0})}, "logit_bias"),
    ],
)
def test_prompts_that_cannot_be_served(engine, prompt, more, said):
    with pytest.raises(JambaError, match=said):
        engine.submit(prompt, **more)


def test_reading_keeps_a_state_to_go_on_from(model, tmp_path):
    seen = []
    with Engine(model, SnapshotStore(folder=tmp_path), Limits(chunk=1)) as engine:
        kept = engine.read(PROMPT * 8, "book", on_progress=seen.append)
        assert (kept.tokens, kept.cached_tokens) == (128, 0)
        assert kept.bytes > 0
        assert seen == sorted(seen)
        expected, request = answer(engine, [*PROMPT * 8, 5, 6])
        assert request.metrics.cached_tokens == 128
    with Engine(model, SnapshotStore(folder=tmp_path)) as engine:  # as a later process
        again = engine.read(PROMPT * 8, "book")
        assert (again.cached_tokens, again.restored_from, again.bytes) == (128, "disk", kept.bytes)
        tokens, request = answer(engine, [*PROMPT * 8, 5, 6])
        assert (tokens, request.metrics.cached_tokens) == (expected, 130)
        assert engine.snapshots.forget("book") == 2


def test_reading_says_what_it_cannot_keep(model):
    with Engine(model) as engine, pytest.raises(JambaError, match="SnapshotStore"):
        engine.read(PROMPT, "book")
    with Engine(model, SnapshotStore(max_bytes=10)) as engine:
        with pytest.raises(JambaError, match="budget of 10 bytes"):
            engine.read(PROMPT, "book")
        with pytest.raises(JambaError, match="empty"):
            engine.read([], "book")


def test_unknown_parameters_are_errors(engine):
    with pytest.raises(TypeError, match="temprature"):
        SamplingParams(temprature=1.0)
