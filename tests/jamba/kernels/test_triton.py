"""The kernels for a GPU against the plain scan, the model and the numba kernels.

Without a GPU they run in Triton's interpreter on the CPU, which is slow: shapes here are tiny.
"""

import pytest
import torch
import torch.nn.functional as F

from jamba.network.model import causal_conv
from jamba.network.scan import selective_scan_reference
from tests.jamba.network.test_scan import draw

triton_scan = pytest.importorskip("jamba.kernels.triton_scan", reason="triton is not installed")

from jamba.kernels import (  # noqa: E402
    mamba_ssm,
    triton_conv,
    triton_decode,
    triton_products,
    triton_scan_grad,
)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
RESET = torch.tensor([[1, 0, 0, 1, 1, 0, 0, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0, 0]]).bool()


@pytest.fixture
def short_chunks(monkeypatch):
    """Chunks of 4 steps, so that a few steps are several chunks."""
    monkeypatch.setattr(triton_scan, "CHUNK", 4)
    monkeypatch.setattr(triton_scan_grad, "CHUNK", 4)


def there(tensors):
    return [tensor.to(DEVICE) for tensor in tensors]


def assert_close(ours, expected, tolerance=1e-5):
    torch.testing.assert_close(ours.cpu(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("shape", "reset"),
    [
        ({}, RESET),
        ({"width": 37, "states": 3, "steps": 4}, None),
        ({"steps": 1}, None),
        ({"batch": 1, "states": 16, "steps": 6}, None),
    ],
)
def test_scan(shape, reset, short_chunks):
    inputs = draw(**shape)
    y, final = triton_scan.scan(*there(inputs), None if reset is None else reset.to(DEVICE))
    expected = selective_scan_reference(*inputs, reset)
    assert_close(y, expected[0])
    assert_close(final, expected[1])


def test_a_scan_from_zero_is_resumed_exactly():
    x, dt, A, B, C, D, state = draw(states=3)
    y, final = selective_scan_reference(x, dt, A, B, C, D, torch.zeros_like(state))
    ours = mamba_ssm.resumed(y, final, dt, A, C, state)
    for found, expected in zip(
        ours, selective_scan_reference(x, dt, A, B, C, D, state), strict=True
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("reset", [RESET, None], ids=["packed", "one document"])
def test_scan_gradients(reset, short_chunks):
    inputs = [tensor.requires_grad_(True) for tensor in draw(width=34, states=3)]
    outputs = selective_scan_reference(*inputs, reset)
    g = torch.Generator().manual_seed(1)
    flowing = [torch.randn(out.shape, generator=g) for out in outputs]
    expected = torch.autograd.grad(outputs, inputs, flowing)
    given = there([tensor.detach() for tensor in inputs])
    moved = None if reset is None else reset.to(DEVICE)
    found = triton_scan_grad.scan_backward(*given, moved, *there(flowing))
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, 1e-4)


@pytest.mark.parametrize(
    ("steps", "taps", "has_bias"), [(1, 4, True), (5, 2, False), (40, 4, True)]
)
def test_convolution_goes_on_from_its_window(steps, taps, has_bias):
    g = torch.Generator().manual_seed(0)
    both = torch.randn(2, steps, 2 * 9, generator=g)
    window = torch.randn(2, taps - 1, 9, generator=g)
    weight, bias = torch.randn(9, taps, generator=g), torch.randn(9, generator=g)
    x, bias = both[..., :9], bias if has_bias else None  # a view, as the model gives it
    expected = F.silu(causal_conv(torch.cat([window, x], 1), weight, bias, None))
    moved = both.to(DEVICE)[..., :9]
    ours = triton_conv.conv_silu(
        moved, *there([window, weight]), None if bias is None else bias.to(DEVICE)
    )
    assert_close(ours, expected)


@pytest.mark.parametrize("tokens", [1, 3, 40])
@pytest.mark.parametrize("is_int8", [False, True])
def test_product_by_expert(tokens, is_int8):
    experts, top_k, R, K = 3, 2, 70, 67
    g = torch.Generator().manual_seed(tokens)
    x = torch.randn(tokens, K, generator=g)
    weight = torch.randn(experts, R, K, generator=g)
    scale = None
    if is_int8:
        weight = (weight * 30).round().clamp(-127, 127).to(torch.int8)
        scale = torch.rand(experts, R, generator=g)
    chosen = torch.rand(tokens, experts, generator=g).topk(top_k).indices
    where = triton_products.arrange(chosen.to(DEVICE), experts)
    pairs = tokens * top_k
    moved = None if scale is None else scale.to(DEVICE)
    ours = triton_products.expert_product(*there([x, weight]), moved, where, pairs)
    whole = weight.float() if scale is None else weight * scale[..., None]
    expected = torch.einsum("prk,pk->pr", whole[chosen.flatten()], x.repeat_interleave(top_k, 0))
    assert_close(ours, expected, 1e-4)
    again = triton_products.expert_product(  # a row for each pair, as in the second half of an MLP
        x.repeat_interleave(top_k, 0).to(DEVICE), weight.to(DEVICE), moved, where, pairs
    )
    assert_close(again, expected, 1e-4)


def test_every_pair_has_one_slot_of_its_expert():
    chosen = torch.tensor([[0, 4], [4, 2], [4, 0], [2, 4]])
    where = triton_products.arrange(chosen, 5)
    slots = where.slots.view(-1, where.rows)
    found = {
        int(pair): int(owner)
        for row, owner in zip(slots, where.owners, strict=True)
        for pair in row
        if pair < 8
    }
    assert found == dict(enumerate(chosen.flatten().tolist()))
    assert [int(owner) for owner in where.owners] == [0, 2, 4, 5, 5, 5]


def test_int8_product():
    g = torch.Generator().manual_seed(0)
    x, scale = torch.randn(2, 3, 21, generator=g), torch.rand(70, generator=g)
    weight = torch.randint(-127, 128, (70, 21), generator=g, dtype=torch.int8)
    ours = triton_products.int8_product(*there([x, weight, scale]))
    assert_close(ours, x @ (weight * scale[:, None]).T, 1e-4)


def addresses(tensors):
    return torch.tensor([tensor.data_ptr() for tensor in tensors], device=DEVICE)


def test_steps_of_convolution_and_scan_move_states_on():
    """Three sequences, a step each, against one token through the whole-prompt functions."""
    g = torch.Generator().manual_seed(0)
    width, taps, N = 7, 4, 3

    def normal(*shape):
        return torch.randn(shape, generator=g)

    both, weight, bias = normal(3, 2 * width), normal(width, taps), normal(width)
    x, gate = both.chunk(2, dim=1)
    windows = normal(3, taps - 1, width)
    inputs = torch.cat([windows, x[:, None]], 1)
    mixed = F.silu(causal_conv(inputs, weight, bias, None))
    ours, moved = there(list(windows)), both.to(DEVICE)
    out = triton_decode.conv_step(moved[:, :width], addresses(ours), *there([weight, bias]))
    assert_close(out, mixed[:, 0])
    assert_close(torch.stack(ours), inputs[:, 1:])

    dt, A_log, B, C, D = (
        normal(3, width),
        normal(width, N),
        normal(3, N),
        normal(3, N),
        normal(width),
    )
    states = normal(3, width, N)
    y, final = selective_scan_reference(
        mixed, F.softplus(dt)[:, None], -A_log.exp(), B[:, None], C[:, None], D, states
    )
    ours = there(list(states))
    gated = triton_decode.scan_step(
        out, moved[:, width:], *there([dt, A_log, B, C, D]), addresses(ours)
    )
    assert_close(gated, y[:, 0] * F.silu(gate))
    assert_close(torch.stack(ours), final)


@pytest.mark.parametrize(("heads", "kv", "size"), [(4, 2, 12), (3, 1, 16)])
def test_attention_reads_caches_of_many_lengths(heads, kv, size, monkeypatch):
    monkeypatch.setattr(triton_decode, "SPLITS", 3)
    g = torch.Generator().manual_seed(0)
    seen, capacity = [0, 5, 70], [4, 8, 128]
    caches = [torch.randn(2, kv, room, size, generator=g) for room in capacity]
    q = torch.randn(3, heads, size, generator=g)
    k, v = torch.randn(2, 3, kv, size, generator=g)
    ours = there(caches)
    numbers = (torch.tensor(capacity, device=DEVICE), torch.tensor(seen, device=DEVICE))
    keys, values = addresses([c[0] for c in ours]), addresses([c[1] for c in ours])
    mixed = triton_decode.attend(*there([q, k, v]), keys, values, *numbers)
    for b, cache in enumerate(caches):
        cache[0, :, seen[b]], cache[1, :, seen[b]] = k[b], v[b]
        assert_close(ours[b][:, :, : seen[b] + 1], cache[:, :, : seen[b] + 1])
        filled = cache[:, :, : seen[b] + 1]
        expected = F.scaled_dot_product_attention(
            q[b, None, :, None], filled[None, 0], filled[None, 1], enable_gqa=True
        )
        assert_close(mixed[b], expected[0, :, 0])


def test_interpreter_is_used_where_there_is_no_gpu():
    """Otherwise the tests above would have been about nothing."""
    assert ("Interpreted" in type(triton_scan._link).__name__) == (DEVICE == "cpu")
