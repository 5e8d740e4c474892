"""Training: it learns, goes on exactly where it stopped, and packed documents stay strangers."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from jamba.config import JambaConfig, JambaError
from jamba.network.model import Jamba
from jamba.network.scan import selective_scan_reference
from jamba.training import train as training
from jamba.training.data import Corpus, Rows, document
from jamba.training.initialise import initialise
from jamba.training.training_state import Method, Settings

CONFIG = JambaConfig(
    vocab_size=64,
    hidden_size=32,
    intermediate_size=32,
    num_hidden_layers=4,
    num_attention_heads=2,
    num_key_value_heads=1,
    attn_layer_period=2,
    attn_layer_offset=1,
    num_experts=4,
    num_experts_per_tok=2,
    expert_layer_period=2,
    expert_layer_offset=1,
    mamba_d_state=8,
    tie_word_embeddings=True,
)


def fresh(seed: int = 0) -> Jamba:
    model = Jamba(CONFIG)
    initialise(model, seed)
    return model


def rows(*lengths: int, seed: int = 0) -> Rows:
    """One row of random documents."""
    size = sum(lengths)
    ids = np.random.default_rng(seed).integers(3, CONFIG.vocab_size, (1, size))
    reset = np.zeros((1, size), np.bool_)
    reset[0, np.cumsum([0, *lengths[:-1]])] = True
    return Rows(ids, reset, np.where(reset, 0.0, 1.0).astype(np.float32))


def corpus() -> Corpus:
    random = np.random.default_rng(5)
    items = tuple(document([(random.integers(3, 64, 9).tolist(), 1.0)]) for _ in range(12))
    return Corpus(items, (random.integers(3, 64, 200).tolist(),), 1, 24, 0.2)


def run(model: Jamba, saved, **settings):
    values = {"rows": 2, "row_tokens": 24, "save_every": 2, "warmup": 0.3}
    return training.train(
        model,
        corpus(),
        rows(24, seed=9),
        Settings(**{**values, **settings}),
        saved,
        lambda *_: None,
    )


@pytest.mark.parametrize("method", Method)
def test_overfits_one_batch(method):
    model, batch = fresh(), rows(30, 34)
    settings = Settings(steps=60, method=method, learning_rate=1e-2)
    optimizers = training.new_optimizers(model, settings)
    first = training.step(model, optimizers, batch, settings, 0.1)
    for _ in range(60):
        last = training.step(model, optimizers, batch, settings, 0.1)
    assert first[0] == pytest.approx(np.log(64), abs=0.2)
    assert last[0] < 0.1


def test_every_parameter_learns():
    model, settings = fresh(), Settings(steps=1)
    training.step(model, training.new_optimizers(model, settings), rows(200), settings, 0.1)
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_packed_documents_have_the_losses_and_gradients_they_have_alone():
    model, packed = fresh(), rows(17, 5, 20)
    together, _ = training.token_losses(model, packed)
    together[:, [i for i in range(41) if i not in (16, 21)]].sum().backward()
    packed_gradient = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    alone = []
    for part in (slice(0, 17), slice(17, 22), slice(22, 42)):
        losses, _ = training.token_losses(
            model, Rows(packed.ids[:, part], packed.reset[:, part], packed.weights[:, part])
        )
        losses.sum().backward()
        alone.append(losses)
    expected = torch.cat(alone, dim=1)
    kept = together[:, [i for i in range(41) if i not in (16, 21)]]
    torch.testing.assert_close(kept, expected, rtol=1e-4, atol=1e-5)
    for mine, parameter in zip(packed_gradient, model.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, rtol=2e-3, atol=2e-5)


def test_a_border_is_not_predicted():
    losses, weights = training.token_losses(fresh(), rows(10, 10))
    assert weights[0, 9] == 0
    assert weights.sum() == 18
    assert losses.shape == (1, 19)


@pytest.mark.parametrize("method", Method)
def test_resume_makes_the_same_updates(tmp_path, method):
    whole, first, second = fresh(), fresh(), fresh(seed=1)
    history = run(whole, tmp_path / "whole", steps=8, method=method)
    with pytest.raises(KeyboardInterrupt):
        interrupted(first, tmp_path / "saved", method, at=5)
    resumed = run(second, tmp_path / "saved", steps=8, method=method)
    for (name, one), two in zip(whole.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two), name
    assert [(p.step, p.tokens, p.loss, p.held_out) for p in history] == [
        (p.step, p.tokens, p.loss, p.held_out) for p in resumed
    ]


def interrupted(model: Jamba, saved, method: Method, at: int) -> None:
    """A run that is stopped by hand after some steps; the last save is older than that."""

    def stop(point, _done) -> None:
        if point.step == at:
            raise KeyboardInterrupt

    settings = Settings(rows=2, row_tokens=24, save_every=2, warmup=0.3, steps=8, method=method)
    training.train(model, corpus(), rows(24, seed=9), settings, saved, stop)


def test_a_state_of_another_run_is_refused(tmp_path):
    run(fresh(), tmp_path / "saved", steps=2)
    with pytest.raises(JambaError, match=r"trained with learning_rate = 0\.002, now 0\.1"):
        run(fresh(), tmp_path / "saved", steps=4, learning_rate=0.1)
    other = Jamba(dataclasses.replace(CONFIG, num_hidden_layers=6))
    with pytest.raises(JambaError, match="cannot go on"):
        run(other, tmp_path / "saved", steps=4)


def test_a_damaged_state_is_refused(tmp_path):
    saved = tmp_path / "saved"
    run(fresh(), saved, steps=2)
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(JambaError, match="cannot go on"):
        run(fresh(), saved, steps=4)


def test_the_state_file_holds_weights_and_moments_and_no_pickle(tmp_path):
    run(fresh(), tmp_path / "saved", steps=2)
    tensors = load_file(tmp_path / "saved")
    assert len(tensors) == 4 * sum(1 for _ in fresh().parameters())
    assert {name.split(".")[0] for name in tensors} == {"weight", "step", "exp_avg", "exp_avg_sq"}


def test_time_ends_a_run(tmp_path):
    history = run(fresh(), tmp_path / "saved", minutes=0.02)
    assert history[-1].seconds >= 1.2
    assert history[-1].held_out is not None


def test_learning_rate_warms_up_and_decays_to_zero():
    rates = [training.learning_rate_factor(done, 0.1) for done in (0.0, 0.05, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.01, 0.5, 1.0, 0.5, 0.0])


def test_balanced_routing_costs_one_and_collapsed_routing_costs_more():
    turns = torch.eye(4).repeat(8, 1) * 10 + torch.eye(4).roll(1, 1).repeat(8, 1) * 9
    assert training.load_balancing_loss([turns], 2).item() == pytest.approx(1.0, abs=1e-3)
    collapsed = torch.tensor([10.0, 9.0, 0.0, 0.0]).repeat(32, 1)
    assert training.load_balancing_loss([collapsed], 2).item() == pytest.approx(2.0, abs=1e-2)


def test_active_parameters_count_two_of_four_experts_and_the_head():
    shapes = {name: p.numel() for name, p in fresh().named_parameters() if p.ndim == 2}
    experts = sum(size for name, size in shapes.items() if ".experts." in name)
    rates = sum(size for name, size in shapes.items() if name.endswith("A_log"))
    assert training.active_parameters(fresh()) == sum(shapes.values()) - rates - experts // 2


@pytest.mark.parametrize(
    "bad",
    [{}, {"steps": 0}, {"steps": 1, "rows": 0}, {"minutes": -1.0}, {"steps": 1, "method": "sgd"}],
)
def test_settings_that_cannot_be_are_refused(bad):
    with pytest.raises(JambaError):
        Settings(**bad)


@pytest.mark.filterwarnings("ignore:Mismatch dtype")
def test_products_in_bfloat16_as_on_a_gpu_change_little(monkeypatch):
    """Types that meet in a step on a GPU meet here, with the plain scan in the kernel's place."""
    exact, rough, batch = fresh(), fresh(), rows(30, 34)
    loss = training.token_loss(exact, batch)
    loss.backward()
    real = torch.autocast
    monkeypatch.setattr(torch, "autocast", lambda kind, dtype, enabled: real(kind, dtype=dtype))
    monkeypatch.setattr("jamba.network.model.selective_scan", selective_scan_reference)
    settings = Settings(steps=2)
    assert training.token_loss(rough, batch).item() == pytest.approx(loss.item(), rel=0.02)
    training.step(rough, training.new_optimizers(rough, settings), batch, settings, 0.5)
    for (name, one), two in zip(exact.named_parameters(), rough.parameters(), strict=True):
        assert two.grad.dtype == torch.float32, name
        close = torch.nn.functional.cosine_similarity(one.grad.flatten(), two.grad.flatten(), dim=0)
        assert close > 0.9 or one.grad.abs().max() < 1e-3, name
