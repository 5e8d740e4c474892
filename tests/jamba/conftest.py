"""One small hybrid model for the tests that need no other."""

from typing import Any

import pytest

from tests.jamba.random_models import HYBRID, Pair, make_pair


@pytest.fixture(scope="session")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A model with both kinds of mixer and of feed-forward, for tests that need only one."""
    return make_pair(HYBRID, 7, tmp_path_factory.mktemp("hybrid"))


@pytest.fixture(scope="session")
def model(hybrid: Pair) -> Any:
    """Our copy of `hybrid`."""
    from jamba.network.weights import load_model

    return load_model(hybrid.folder)


@pytest.fixture(autouse=True)
def _one_thread():
    """Tiny models run on one core: threads would only wait for each other on a busy machine."""
    import numba
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
