"""A step for a GPU against the same step on the CPU: as kernels, and as a recorded graph."""

import numpy as np
import pytest
import torch

from jamba.config import Quantisation
from jamba.network.decode import Decoder
from jamba.network.experts import MixtureOfExperts
from jamba.network.slots import addresses, advance
from jamba.network.weights import load_model
from jamba.state import AttentionState, SequenceState
from tests.jamba.random_models import VOCABULARY, relative_error

pytest.importorskip("triton", reason="triton is not installed")

from jamba.kernels import triton_decode
from jamba.network.graph_decode import GraphDecoder, step_logits


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.inference_mode():
        yield


def read(model, prompts):
    """The state after each prompt."""
    states = []
    for prompt in prompts:
        states.append(SequenceState.fresh(model.config, capacity=4, where=model.place))
        model(torch.tensor([prompt], device=model.place.device), states[-1])
    return states


def prompts():
    rng = np.random.default_rng(0)
    return [rng.integers(0, VOCABULARY, size).tolist() for size in (1, 5, 40)]


@pytest.mark.parametrize("quantisation", [Quantisation.NONE, Quantisation.ALL])
def test_kernels_of_a_step_equal_the_decoder(hybrid, quantisation, monkeypatch):
    monkeypatch.setattr(triton_decode, "SPLITS", 2)
    if torch.cuda.is_available():
        pytest.skip("kernels run on the GPU here; the recorded step is tested instead")
    model = load_model(hybrid.folder, quantisation=quantisation)
    expected_states, states = read(model, prompts()), read(model, prompts())
    expected = Decoder(model).step([3, 4, 5], expected_states)
    for block in (m for m in model.modules() if isinstance(m, MixtureOfExperts)):
        block.stack()
    for state in states:
        for layer in state.layers:
            if isinstance(layer, AttentionState):
                layer.reserve(layer.length + 1)
    table = torch.from_numpy(addresses(states))
    table[-1] = torch.tensor([3, 4, 5])
    logits = step_logits(model, table)
    for state in states:
        advance(state)
    assert relative_error(logits, torch.from_numpy(expected)) < 1e-4
    for state, other in zip(states, expected_states, strict=True):
        assert state.length == other.length
        for ours, theirs in zip(state.recurrent(), other.recurrent(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
        for ours, theirs in zip(state.kv(0), other.kv(0), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.parametrize("quantisation", [Quantisation.NONE, Quantisation.ALL])
def test_a_recorded_step_equals_the_decoder_while_sequences_come_and_go(hybrid, quantisation):
    on_cpu = load_model(hybrid.folder, quantisation=quantisation)
    on_gpu = load_model(hybrid.folder, device="cuda", quantisation=quantisation)
    expected_states, states = read(on_cpu, prompts()), read(on_gpu, prompts())
    decoder, recorded = Decoder(on_cpu), GraphDecoder(on_gpu)
    rng = np.random.default_rng(1)
    for company in ([0], [0, 1], [1, 2], [0, 1, 2], [0, 1, 2], [2], *[[2, 0]] * 300):
        tokens = rng.integers(0, VOCABULARY, len(company)).tolist()
        expected = decoder.step(tokens, [expected_states[i] for i in company])
        ours = recorded.step(tokens, [states[i] for i in company])
        assert relative_error(torch.from_numpy(ours), torch.from_numpy(expected)) < 1e-3
