"""The numba scan against the plain one, and documents packed into one row."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from jamba.kernels import cpu
from jamba.network.model import attend, attend_by_document, visible
from jamba.network.scan import selective_scan, selective_scan_reference
from jamba.state import SequenceState


def draw(batch=2, steps=9, width=5, states=4, seed=0):
    """Random inputs of a scan, in the order of its arguments."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=g)

    return [
        normal(batch, steps, width),
        torch.nn.functional.softplus(normal(batch, steps, width)),
        -torch.exp(normal(width, states)),
        normal(batch, steps, states),
        normal(batch, steps, states),
        normal(width),
        normal(batch, width, states),
    ]


SHAPES = [
    {},
    {"width": 64},
    {"width": 130, "states": 16},
    {"steps": 1},
    {"batch": 1, "states": 1},
]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_kernel_equals_the_plain_scan(shape):
    inputs = draw(**shape)
    before = inputs[-1].clone()
    y, final = selective_scan(*inputs)
    expected_y, expected_final = selective_scan_reference(*[t.double() for t in inputs])
    torch.testing.assert_close(y, expected_y.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(final, expected_final.float(), rtol=1e-5, atol=1e-5)
    assert torch.equal(inputs[-1], before)


def test_two_scans_one_after_the_other_are_one():
    x, dt, A, B, C, D, state = draw(steps=12)
    whole, last = selective_scan(x, dt, A, B, C, D, state)
    first, middle = selective_scan(x[:, :5], dt[:, :5], A, B[:, :5], C[:, :5], D, state)
    second, end = selective_scan(x[:, 5:], dt[:, 5:], A, B[:, 5:], C[:, 5:], D, middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(end, last)


def test_a_reset_forgets_what_came_before():
    x, dt, A, B, C, D, state = draw(steps=8)
    reset = torch.zeros(2, 8, dtype=torch.bool)
    reset[0, 3] = True
    y, _ = selective_scan(x, dt, A, B, C, D, state, reset)
    expected, _ = selective_scan_reference(x, dt, A, B, C, D, state, reset)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    alone, _ = selective_scan(x[:1, 3:], dt[:1, 3:], A, B[:1, 3:], C[:1, 3:], D, state[:1] * 0)
    torch.testing.assert_close(y[:1, 3:], alone)


def test_long_decays_vanish_without_overflow():
    x, dt, A, B, C, D, state = draw()
    y, final = selective_scan(x, dt + 1e4, A, B, C, D, state)
    assert torch.isfinite(y).all()
    assert torch.isfinite(final).all()


def test_what_is_not_a_number_stays_that():
    x, *rest = draw()
    x[0, 2, 1] = float("nan")
    y, _ = selective_scan(x, *rest)
    assert y[0, 2:, 1].isnan().all()
    assert not y[1].isnan().any()


def test_the_fast_exponential():
    exponents = torch.linspace(-125, 126, 1001)
    ours = torch.tensor([cpu.exp2_fast.py_func(e) for e in exponents.numpy()])
    torch.testing.assert_close(ours, torch.exp2(exponents), rtol=1e-6, atol=0)


def test_packed_documents_do_not_see_each_other(model):
    ids = torch.randint(0, 97, (1, 20), generator=torch.Generator().manual_seed(0))
    reset = torch.zeros(1, 20, dtype=torch.bool)
    reset[0, [0, 7, 8]] = True
    packed = model(ids, reset=reset)
    alone = torch.cat([model(part) for part in (ids[:, :7], ids[:, 7:8], ids[:, 8:])], dim=1)
    torch.testing.assert_close(packed, alone, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="reset"):
        model(ids, SequenceState.fresh(model.config), reset)


def test_attention_by_document_is_that_of_a_mask():
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(2, 4, 12, 8, generator=generator)
    k, v = torch.randn(2, 2, 2, 12, 8, generator=generator)  # grouped: two heads share a key
    reset = torch.zeros(2, 12, dtype=torch.bool)
    reset[0, [0, 5, 6]] = True
    expected = attend(q, k, v, visible(12, 12, reset))
    torch.testing.assert_close(attend_by_document(q, k, v, reset), expected)


def test_tokens_that_continue_a_cache_see_it_all():
    assert visible(3, 3, None) is None
    assert visible(1, 9, None) is None
    assert visible(2, 4, None).tolist() == [[True, True, True, False], [True] * 4]


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    from numba.core import caching

    def double(x):
        return 2 * x

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])
    assert cpu.compiled_serial(double)(21) == 42


TWO_THREADS = """
import threading
import torch
from jamba.network.scan import selective_scan

def scan():
    for _ in range(50):
        x, B, state = torch.ones(1, 200, 64), torch.ones(1, 200, 4), torch.zeros(1, 64, 4)
        selective_scan(x, x, -torch.ones(64, 4), B, B, torch.ones(64), state)

threads = [threading.Thread(target=scan) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_threads_share_the_kernels_without_openmp():
    """Numba's own work queue aborts the process where two threads are in it at once."""
    subprocess.run(
        [sys.executable, "-c", TWO_THREADS],
        env={**os.environ, "NUMBA_THREADING_LAYER": "workqueue", "NUMBA_NUM_THREADS": "2"},
        cwd=Path(__file__).parents[3],
        check=True,
        timeout=120,
    )
