"""A connection to a Ray cluster, or to one of this machine alone, which ends with it."""

import importlib.util
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from retrieval.types import RetrievalError

LOCAL = "local"  # the address that starts a cluster here
LOOPBACK = "127.0.0.1"
REACHED = 10.0  # seconds; Ray itself tries for ten minutes
# Read by Ray when it is imported: report nothing, and leave CUDA's devices as they are.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class ClusterError(RetrievalError):
    """There is no Ray, no cluster at the address, or no worker that lives."""


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """The module `ray`, connected to `address` ("host:port", "auto" or "local") until the end.

    Raises ClusterError.
    """
    ray = _imported()
    here = {"include_dashboard": False, "_node_ip_address": LOOPBACK} if address == LOCAL else {}
    try:
        _reach(address)
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **here)
    except (OSError, ValueError, RuntimeError) as error:
        raise ClusterError(
            f"no Ray cluster at {address}: {error}; 'ray start --head' starts one (docs/scaling.md)"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise OSError unless something listens at "host:port"; names such as "auto" pass."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        socket.create_connection((host, int(port)), REACHED).close()


def _imported() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise ClusterError("Ray is not installed: pip install 'orbweaver[ray]' adds it")
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    return ray
