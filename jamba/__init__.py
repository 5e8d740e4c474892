"""A Jamba engine: token ids in, token ids out. Names load what they need on first use."""

import importlib
from typing import Any

_HOMES = {
    "JambaConfig": "config",
    "JambaError": "config",
    "Quantisation": "config",
    "Jamba": "model",
    "load_model": "weights",
    "save_model": "weights",
    "Engine": "engine",
    "SamplingParams": "sampling",
    "SnapshotStore": "snapshots",
    "selective_scan": "scan",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jamba' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jamba.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
