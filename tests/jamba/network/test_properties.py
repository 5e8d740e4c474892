"""However a prompt is cut, batched or resumed, its logits are the same."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jamba.cache.snapshots import SnapshotStore
from jamba.network.decode import Decoder
from jamba.state import SequenceState
from tests.jamba.random_models import VOCABULARY, relative_error

relaxed = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
prompts = st.lists(st.integers(0, VOCABULARY - 1), min_size=2, max_size=40)


def cuts(data, length):
    """Ascending ends of chunks; the last is the length."""
    inner = data.draw(st.sets(st.integers(1, length - 1), max_size=6)) if length > 1 else set()
    return [*sorted(inner), length]


@relaxed
@given(data=st.data(), prompt=prompts)
def test_any_chunks_and_any_steps(model, data, prompt):
    whole = model.logits(torch.tensor([prompt]))[0]
    state, done, decoder = SequenceState.fresh(model.config, capacity=1), 0, Decoder(model)
    for end in cuts(data, len(prompt)):
        if data.draw(st.booleans()):
            steps = [decoder.step([token], [state])[0] for token in prompt[done:end]]
            logits = torch.from_numpy(steps[-1])
        else:
            logits = model(torch.tensor([prompt[done:end]]), state)[0, -1]
        assert relative_error(logits, whole[end - 1]) < 1e-4
        done = end
    assert state.length == len(prompt)


@relaxed
@given(data=st.data(), prompt=prompts)
def test_any_snapshot_point(model, data, prompt):
    store, state, done = SnapshotStore(), SequenceState.fresh(model.config), 0
    ends = cuts(data, len(prompt))
    for end in ends:
        logits = model(torch.tensor([prompt[done:end]]), state)[0, -1]
        store.put("m", prompt, state, logits, frozenset(), store.now)
        done = end
    asked = [*prompt[: data.draw(st.integers(1, len(prompt)))], 1, 2]
    found = store.find("m", model.config, asked, ends)
    shared = max([end for end in ends if asked[:end] == prompt[:end]], default=0)
    assert (0 if found.state is None else found.state.length) == shared
    state = found.state or SequenceState.fresh(model.config)
    logits = model(torch.tensor([asked[shared:]]), state)[0, -1]
    assert relative_error(logits, model.logits(torch.tensor([asked]))[0, -1]) < 1e-4


@relaxed
@given(data=st.data(), length=st.integers(1, 20))
def test_any_strangers_in_the_batch(model, data, length):
    rows = st.lists(st.integers(0, VOCABULARY - 1), min_size=length, max_size=length)
    ids = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=4)))
    together = model.logits(ids)
    for row, alone in zip(together, ids, strict=True):
        assert relative_error(row, model.logits(alone[None])[0]) < 1e-4
