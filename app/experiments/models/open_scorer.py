"""From what a person names with `--model` to a scorer."""

import json
from pathlib import Path

from app.experiments.models.scorer import Scorer
from app.models.model_types import ModelError
from app.models.resolve import BUNDLED, find_folder


def open_scorer(model: str | None, tokenizer: Path | None = None) -> Scorer:
    """A folder, a hub id or a server's URL as a scorer; None is the bundled checkpoint.

    Jamba checkpoints are read by our engine, others by transformers; a server needs the folder of
    its model's tokenizer. Raises ModelError.
    """
    if model is not None and model.startswith(("http://", "https://")):
        from app.experiments.models.remote_scorer import RemoteScorer

        return RemoteScorer(model, tokenizer)
    if tokenizer is not None:
        raise ModelError("--tokenizer is for a server; a local model brings its own")
    folder = BUNDLED if model is None else find_folder(model)
    name = folder.name if model is None else model
    if is_jamba(folder):
        from app.experiments.models.jamba_scorer import JambaScorer

        return JambaScorer(folder, name)
    from app.experiments.models.transformers_scorer import TransformersScorer

    return TransformersScorer(folder, name)


def is_jamba(folder: Path) -> bool:
    """Whether the folder holds a checkpoint for our own engine; raises ModelError."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return bool(config["model_type"] == "jamba")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}: config.json says of no model what it is ({error})") from None
