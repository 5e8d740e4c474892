"""A Ray cluster of two nodes on this machine, a core each."""

import os
import shutil
import tempfile

import psutil
import pytest

from retrieval.cluster.connection import LOOPBACK

pytest.importorskip("ray", reason="Ray is an extra: pip install 'orbweaver[ray]'")

NODE = {
    "num_cpus": 1,
    "object_store_memory": 80 << 20,
    "include_dashboard": False,
    "node_ip_address": LOOPBACK,
}


@pytest.fixture(scope="package")
def nodes():
    """The cluster; a test may add a node and take it away."""
    from retrieval.cluster.connection import SETTINGS

    folder = tempfile.mkdtemp()  # short: Ray's sockets lie in it
    os.environ.update(SETTINGS, RAY_TMPDIR=folder)
    from ray._private import ray_constants
    from ray.cluster_utils import Cluster

    # Else Ray on Linux takes the machine's address for the loopback's, where nobody listens.
    ray_constants.ENABLE_RAY_CLUSTER = False
    cluster = Cluster()
    cluster.add_node(**NODE)
    cluster.add_node(**NODE)
    yield cluster
    cluster.shutdown()
    del os.environ["RAY_TMPDIR"]
    shutil.rmtree(folder, ignore_errors=True)
    assert ray_processes("") == []


def ray_processes(what: str) -> list[psutil.Process]:
    """Ray's processes of this test whose command line has `what` in it."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if "ray" in line and what in line:
            found.append(process)
    return found
