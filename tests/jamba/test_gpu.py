"""On a GPU: whole models, the engine and a training against the same on the CPU."""

import pytest
import torch

from jamba.cache.snapshots import SnapshotStore
from jamba.config import Quantisation
from jamba.engine import Engine
from jamba.network.weights import load_model, save_model
from jamba.sampling import SamplingParams
from jamba.scheduler import Limits
from jamba.state import SequenceState
from jamba.training.train import new_optimizers, step, token_loss
from jamba.training.training_state import Settings
from tests.jamba.random_models import VOCABULARY, draw_fields, make_pair, relative_error
from tests.jamba.training.test_train import corpus, fresh

pytestmark = pytest.mark.gpu
GREEDY = SamplingParams(max_tokens=12, ignore_eos=True)


def drawn_ids(batch, tokens):
    return torch.randint(0, VOCABULARY, (batch, tokens), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("quantisation", [Quantisation.NONE, Quantisation.EXPERTS])
@pytest.mark.parametrize("seed", range(8))
def test_logits_equal_the_cpu(seed, quantisation, tmp_path):
    folder = make_pair(draw_fields(seed), seed, tmp_path).folder
    ids = drawn_ids(2, 150)
    expected = load_model(folder, quantisation=quantisation).logits(ids)
    ours = load_model(folder, device="cuda", quantisation=quantisation).logits(ids)
    assert relative_error(ours.cpu(), expected) < 1e-3


def test_a_prompt_in_parts_is_the_whole(hybrid):
    model = load_model(hybrid.folder, device="cuda")
    ids = drawn_ids(1, 200)
    state = SequenceState.fresh(model.config, where=model.place)
    with torch.inference_mode():
        parts = [model(part.cuda(), state) for part in ids.split([1, 64, 3, 132], 1)]
    assert relative_error(torch.cat(parts, 1), model.logits(ids)) < 1e-3


def test_bfloat16_is_close_and_keeps_the_scan_exact(hybrid):
    exact = load_model(hybrid.folder, device="cuda")
    rough = load_model(hybrid.folder, device="cuda", dtype=torch.bfloat16)
    ids = drawn_ids(1, 100)
    assert relative_error(rough.logits(ids), exact.logits(ids)) < 0.1
    state = SequenceState.fresh(rough.config, where=rough.place)
    assert {layer.ssm.dtype for layer in state.layers if hasattr(layer, "ssm")} == {torch.float32}


def test_the_engine_writes_what_the_cpu_writes_and_restores_states(hybrid, tmp_path):
    prompts = [drawn_ids(1, size)[0].tolist() for size in (5, 40, 90)]

    def written(model, store):
        with Engine(model, store, Limits(chunk=32)) as engine:
            requests = [engine.submit(prompt, GREEDY, boundaries=[4]) for prompt in prompts]
            texts = [list(engine.stream(request)) for request in requests]
            return texts, [request.metrics.restored_from for request in requests]

    expected, _ = written(load_model(hybrid.folder), None)
    model = load_model(hybrid.folder, device="cuda")
    assert written(model, SnapshotStore(folder=tmp_path))[0] == expected
    again, sources = written(model, SnapshotStore(folder=tmp_path))
    assert again == expected
    assert sources[0] == "disk"


def test_gradients_equal_the_cpu_and_training_steps_go_down():
    batch = next(corpus().batches(2, 0))
    on_cpu, on_gpu = fresh(), fresh().cuda()
    token_loss(on_cpu, batch).backward()
    token_loss(on_gpu, batch).backward()  # in bfloat16 where matrices are multiplied
    for ours, theirs in zip(on_gpu.parameters(), on_cpu.parameters(), strict=True):
        if theirs.grad is not None and theirs.grad.abs().max() > 1e-4:
            assert relative_error(ours.grad.cpu(), theirs.grad) < 0.1
    settings = Settings(steps=30, rows=2, row_tokens=24)
    optimizers = new_optimizers(on_gpu, settings)
    losses = [step(on_gpu, optimizers, batch, settings, 0.1)[0] for _ in range(30)]
    assert losses[-1] < losses[0] - 0.5


def test_a_model_is_saved_as_it_was_read(hybrid, tmp_path):
    model = load_model(hybrid.folder, device="cuda")
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    for name, tensor in load_model(hybrid.folder).state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
