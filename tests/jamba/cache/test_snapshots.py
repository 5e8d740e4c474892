"""What the store keeps, drops and says; that a restored state is the whole truth."""

import gc
import weakref

import pytest
import torch

from jamba.cache.snapshots import MissReason, SnapshotStore
from jamba.state import SequenceState

PROMPT = list(range(3, 43))
NONE: frozenset[str] = frozenset()


def read(model, tokens, state=None):
    """The state after more tokens, and the logits of the last."""
    state = state or SequenceState.fresh(model.config)
    with torch.inference_mode():
        logits = model(torch.tensor([tokens]), state)
    return state, logits[0, -1]


def fill(store, model, prompt, ends, tags=NONE, fingerprint="m"):
    """Read a prompt from its start and store its state at each of the ends."""
    state, done, asked_at = None, 0, store.now
    for end in ends:
        state, logits = read(model, prompt[done:end], state)
        store.put(fingerprint, prompt, state, logits, tags, asked_at)
        done = end


def find(store, model, prompt, boundaries=None, fingerprint="m"):
    return store.find(fingerprint, model.config, prompt, boundaries or [len(prompt)])


@pytest.mark.parametrize("end", [1, 2, 7, 20, 39])
def test_snapshot_and_rest_equal_the_whole_prompt(model, end):
    store = SnapshotStore()
    fill(store, model, PROMPT, [end])
    found = find(store, model, PROMPT)
    assert found.state.length == end
    _, logits = read(model, PROMPT[end:], found.state)
    _, whole = read(model, PROMPT)
    torch.testing.assert_close(logits, whole, rtol=1e-4, atol=1e-4)


def test_the_longest_beginning_is_found_through_several_edges(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [5, 12, 30])
    found = find(store, model, [*PROMPT[:29], 0])
    assert (found.state.length, found.source) == (12, "memory")
    _, logits = read(model, PROMPT[12:29], found.state)
    torch.testing.assert_close(logits, read(model, PROMPT[:29])[1], rtol=1e-4, atol=1e-4)


def test_a_restored_state_is_private(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [10, 20])
    first = find(store, model, PROMPT[:20]).state
    read(model, [50, 51, 52], first)
    again = find(store, model, PROMPT[:20])
    _, logits = read(model, PROMPT[20:], again.state)
    torch.testing.assert_close(logits, read(model, PROMPT)[1], rtol=1e-4, atol=1e-4)


def test_other_models_and_other_tokens_are_not_found(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [10])
    assert find(store, model, PROMPT, fingerprint="other").state is None
    missed = find(store, model, [9, *PROMPT[1:]])
    assert (missed.state, missed.miss_reason) == (None, MissReason.NEW)


def test_keys_and_values_are_kept_once(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [40])
    one = store.used_bytes
    split = SnapshotStore()
    fill(split, model, PROMPT, [20, 40])
    state, _ = read(model, PROMPT)
    recurrent = sum(t.nbytes for t in state.recurrent()) + 4 * model.config.vocab_size
    assert split.used_bytes == one + recurrent


def test_the_budget_holds_and_says_what_was_evicted(model):
    sizes = SnapshotStore()
    fill(sizes, model, PROMPT, [20])
    store = SnapshotStore(max_bytes=3 * sizes.used_bytes)
    for first in range(10):
        fill(store, model, [first, *PROMPT[1:]], [20])
        assert store.used_bytes <= store.max_bytes
    assert store.counters.evicted == 7
    assert find(store, model, [0, *PROMPT[1:]], [20, 40]).miss_reason == MissReason.EVICTED
    assert find(store, model, [9, *PROMPT[1:]], [20, 40]).state.length == 20


@pytest.mark.parametrize("has_folder", [False, True])
def test_what_is_evicted_gives_its_memory_back(model, tmp_path, has_folder):
    """Also where it waits to be written, or where there is no folder to write it to."""
    store = SnapshotStore(folder=tmp_path if has_folder else None)
    fill(store, model, PROMPT, [40])
    (node,) = store._nodes()
    held = weakref.ref(node.recurrent[0])
    store.max_bytes = store.used_bytes + 1
    del node
    fill(store, model, PROMPT[::-1], [40])
    gc.collect()
    assert len(store) == 1
    assert held() is None


def test_what_is_used_stays(model):
    sizes = SnapshotStore()
    fill(sizes, model, PROMPT, [20])
    store = SnapshotStore(max_bytes=3 * sizes.used_bytes)
    fill(store, model, PROMPT, [20])
    for first in range(50, 60):
        assert find(store, model, PROMPT).state is not None
        fill(store, model, [first, *PROMPT[1:]], [20])
    assert find(store, model, PROMPT).state.length == 20


def test_an_inner_node_that_lost_its_state_still_carries_its_leaves(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [10, 30])
    store.max_bytes = store.used_bytes - 1
    for _ in range(5):
        find(store, model, PROMPT)  # the leaf is the one in use
    fill(store, model, PROMPT, [30])  # nothing new, but the budget is looked at again
    assert len(store) == 1
    assert find(store, model, PROMPT[:20], [10]).miss_reason == MissReason.EVICTED
    found = find(store, model, PROMPT)
    assert found.state.length == 30
    _, logits = read(model, PROMPT[30:], found.state)
    torch.testing.assert_close(logits, read(model, PROMPT)[1], rtol=1e-4, atol=1e-4)
    fill(store, model, PROMPT, [10])
    assert len(store) == 1


def test_a_snapshot_larger_than_the_budget_empties_nothing(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [2])
    store.max_bytes = store.used_bytes + 10
    fill(store, model, [7] * 3000, [3000])
    assert find(store, model, [7] * 3000).miss_reason == MissReason.TOO_LARGE
    assert find(store, model, PROMPT).state.length == 2


def test_forget_drops_what_read_the_document_and_all_that_followed(model):
    store = SnapshotStore()
    fill(store, model, PROMPT, [5])
    fill(store, model, PROMPT, [5, 15, 30], tags=frozenset({"a"}))
    fill(store, model, [90, 91, 92], [3], tags=frozenset({"b"}))
    assert store.forget("a") == 3
    assert find(store, model, PROMPT, [30]).miss_reason == MissReason.FORGOTTEN
    assert find(store, model, [90, 91, 92]).state.length == 3
    assert store.forget("b") == 1
    assert (store.used_bytes, len(store)) == (0, 0)


def test_a_request_from_before_forgetting_stores_nothing(model):
    store = SnapshotStore()
    state, logits = read(model, PROMPT)
    asked_at = store.now
    store.forget("a")
    store.put("m", PROMPT, state, logits, frozenset({"a"}), asked_at)
    assert store.used_bytes == 0
    store.put("m", PROMPT, state, logits, frozenset({"a"}), store.now)
    assert len(store) == 1


def test_a_state_of_another_length_is_refused(model):
    store = SnapshotStore()
    state, logits = read(model, [*PROMPT, 5])
    with pytest.raises(AssertionError, match="41 tokens"):
        store.put("m", PROMPT, state, logits, NONE, 0)


def test_counters(model):
    store = SnapshotStore()
    find(store, model, PROMPT)
    fill(store, model, PROMPT, [30])
    find(store, model, PROMPT)
    counters = store.counters
    assert (counters.lookups, counters.stored) == (2, 1)
    assert (counters.restored_tokens, counters.recomputed_tokens) == (30, 50)
    assert counters.misses[MissReason.NEW] == 2
