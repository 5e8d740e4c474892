"""A Jamba engine: token ids in, token ids out. Names load what they need on first use."""

import importlib
from typing import Any

_HOMES = {
    "JambaConfig": "config",
    "JambaError": "config",
    "Quantisation": "config",
    "Jamba": "network.model",
    "load_model": "network.weights",
    "save_model": "network.weights",
    "Engine": "engine",
    "SamplingParams": "sampling",
    "SnapshotStore": "cache.snapshots",
    "selective_scan": "network.scan",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jamba' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jamba.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
