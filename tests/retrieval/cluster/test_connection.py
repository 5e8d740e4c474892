"""Without Ray, or without a cluster, one clear error."""

import importlib.util

import pytest

from retrieval.cluster.connection import ClusterError, connected


def test_without_ray_the_error_names_the_extra(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install 'orbweaver\[ray\]'"), connected("auto"):
        pass


def test_nothing_listens_there():
    with (
        pytest.raises(ClusterError, match="no Ray cluster at 127"),
        connected("127.0.0.1:9"),
    ):
        pass
