"""Models out of the model hub."""

from pathlib import Path

from retrieval.types import RetrievalError


def downloaded(name: str, kind: str) -> Path:
    """The folder of a hub's model, fetched unless it is here; RetrievalError names its `kind`."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise RetrievalError(
            f"no {kind} '{name}': not a folder, and the model hub says: {reason}"
        ) from error
