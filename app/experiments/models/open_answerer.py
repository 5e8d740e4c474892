"""From what a person names with `--model` to an answerer."""

from app.experiments.models.answerer import Answerer
from app.experiments.models.open_scorer import is_jamba
from app.models.resolve import BUNDLED, find_folder


def open_answerer(model: str | None, *, answer_tokens: int, prompt_tokens: int) -> Answerer:
    """A folder, a hub id or a server's URL; None is the bundled checkpoint. Raises ModelError.

    `prompt_tokens` is for a server, which does not say how much it reads.
    """
    if model is not None and model.startswith(("http://", "https://")):
        from app.experiments.models.remote_answerer import RemoteAnswerer

        return RemoteAnswerer(model, prompt_tokens, answer_tokens)
    folder = BUNDLED if model is None else find_folder(model)
    name = folder.name if model is None else model
    if is_jamba(folder):
        from app.experiments.models.jamba_answerer import JambaAnswerer

        return JambaAnswerer(folder, name, answer_tokens)
    from app.experiments.models.transformers_answerer import TransformersAnswerer

    return TransformersAnswerer(folder, name, answer_tokens)
