"""The kernels between the products of a prompt against the torch operations that they stand for."""

import pytest
import torch
import torch.nn.functional as F

from jamba.kernels.cpu import softplus
from jamba.network import prefill
from jamba.network.experts import MLP
from jamba.network.model import Mamba, causal_conv
from jamba.network.scan import selective_scan_reference


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("taps", [1, 2, 4])
@pytest.mark.parametrize("steps", [1, 2, 9])
def test_the_convolution_goes_on_from_its_window(taps, bias, steps):
    conv = torch.nn.Conv1d(67, 67, taps, groups=67, bias=bias)
    projected, window = normal(2, steps, 134), normal(2, taps - 1, 67, seed=1)
    padded = torch.cat([window, projected[..., :67]], dim=1)
    expected = F.silu(causal_conv(padded, conv.weight[:, 0], conv.bias, None))
    close(prefill.conv_silu(projected, window, conv), expected)


@pytest.mark.parametrize("states", [1, 8, 16, 32])
@pytest.mark.parametrize("width", [5, 64, 130])
def test_the_scan_takes_its_softplus_and_its_gate_along(width, states):
    x, projected, dt = normal(2, 7, width), normal(2, 7, 2 * width), 4 * normal(2, 7, width, seed=1)
    A_log, D, parts = normal(width, states), normal(width), normal(2, 7, 3 + 2 * states)
    state = normal(2, width, states)
    _, B, C = parts.double().split((3, states, states), dim=-1)
    steps, A = F.softplus(dt.double()), -torch.exp(A_log.double())
    y, last = selective_scan_reference(x.double(), steps, A, B, C, D.double(), state.double())
    before = state.clone()
    found, final = prefill.gated_scan(x, projected, dt, A_log, parts, D, state)
    close(found, (y * F.silu(projected[..., width:].double())).float())
    close(final, last.float())
    assert torch.equal(state, before)


def test_extremes_stay_finite_and_what_is_not_a_number_stays_that():
    projected, dt = normal(1, 4, 4), normal(1, 4, 2)
    projected[0, 1], dt[0, 1] = 1e4, -1e4
    projected[0, 2], dt[0, 2] = -1e4, 1e4
    fixed = (-torch.ones(2, 3), normal(1, 4, 6), torch.ones(2), torch.zeros(1, 2, 3))
    y, final = prefill.gated_scan(normal(1, 4, 2), projected, dt, *fixed)
    assert torch.isfinite(y).all()
    assert torch.isfinite(final).all()
    dt[0, 2, 1] = torch.nan
    y, _ = prefill.gated_scan(normal(1, 4, 2), projected, dt, *fixed)
    assert y[0, 2:, 1].isnan().all()
    assert not y[0, :, 0].isnan().any()


def test_softplus_keeps_its_digits_where_it_is_small():
    values = torch.linspace(-80, 80, 1001)
    found = torch.tensor([softplus.py_func(v) for v in values.numpy()])
    torch.testing.assert_close(
        found.double(), F.softplus(values.double(), threshold=100), rtol=1e-5, atol=0
    )


def test_norms_in_place_and_the_gate_of_an_mlp(model):
    config = model.config
    mamba = Mamba(config)
    R, N, _ = mamba.sizes
    for norm in (mamba.dt_layernorm, mamba.b_layernorm, mamba.c_layernorm):
        norm.weight.normal_()
    parts = normal(2, 3, R + 2 * N)
    dt, B, C = parts.clone().split(mamba.sizes, dim=-1)
    norms = (mamba.dt_layernorm, mamba.b_layernorm, mamba.c_layernorm)
    prefill.norm_parts(parts, *norms)
    close(parts, torch.cat([norm(x) for norm, x in zip(norms, (dt, B, C), strict=True)], dim=-1))
    mlp, x = MLP(config), normal(3, 5, config.hidden_size)
    close(mlp(x), mlp.down_proj(F.silu(mlp.gate_proj(x)) * mlp.up_proj(x)))


def test_a_layer_is_the_same_with_and_without_gradients(model):
    mamba, x = Mamba(model.config), normal(2, 11, model.config.hidden_size)
    assert prefill.fits(x)
    assert not prefill.fits(x, torch.zeros(2, 11, dtype=torch.bool))
    assert not prefill.fits(x.double())
    fused = mamba(x, None, None)
    with torch.enable_grad():
        assert not prefill.fits(x)
        close(fused, mamba(x, None, None).detach())
