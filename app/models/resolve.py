"""From what a person names with `--model` to a model: a folder, a hub id, a server's URL."""

import re
from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag

from app.answering.prompt import Reading
from app.models.model_types import Finished, LanguageModel, ModelError, Writing, Written
from jamba.config import Quantisation

__all__ = ["BUNDLED", "LanguageModel", "MissingModel", "ModelError", "resolve"]

BUNDLED = Path(__file__).parents[1] / "checkpoints" / "small-jamba"
BUNDLED_NOTICE = (
    "A small model that comes with the program. It looks for an answer in the passages and often "
    "takes the wrong words: check what it writes, or name a larger model with --model."
)
MEGABYTE = 2**20
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "*.txt")


def resolve(
    model: str | None = None,
    *,
    prompt_tokens: int = 2048,
    answer_tokens: int = 256,
    snapshot_mb: int = 1024,
    snapshot_folder: Path | None = None,
    snapshot_disk_mb: int = 8192,
    quantisation: Quantisation = Quantisation.NONE,
    device: str | None = None,
) -> LanguageModel:
    """The model that `model` names; None is the bundled checkpoint.

    A prompt takes at most `prompt_tokens`, an answer `answer_tokens`, cached states `snapshot_mb`
    of memory, and a `snapshot_folder` keeps `snapshot_disk_mb` of them for later processes; what
    `quantisation` names of a local model is held in int8, on `device` or, if that is None, on a GPU
    where there is one.
    A hub id that is not in the local cache is downloaded: the person named it. Raises ModelError.
    """
    if model is not None and model.startswith(("http://", "https://")):
        from app.models.remote_model import RemoteModel

        if quantisation is not Quantisation.NONE:
            raise ModelError(f"{model}: a server quantises by itself; take out 'quantisation'")
        return RemoteModel(model, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens)
    folder = _bundled() if model is None else find_folder(model)
    if folder is None:
        return MissingModel()
    from app.models.local_model import LocalModel
    from jamba import SnapshotStore

    kept = snapshot_folder if snapshot_disk_mb else None
    return LocalModel(
        folder,
        name=folder.name if model is None else model,
        notice=BUNDLED_NOTICE if model is None else "",
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
        snapshots=SnapshotStore(snapshot_mb * MEGABYTE, kept, snapshot_disk_mb * MEGABYTE),
        quantisation=quantisation,
        device=device,
    )


class MissingModel:
    """Stands where no model is bundled: quotes need none, and free answers say what to do."""

    name = "none"
    is_remote = False
    host: str | None = None
    notice = "There is no language model here: answers are quotes. Name one with --model."

    def generate(self, reading: Reading, cancel: Flag | None = None) -> Iterator[str | Finished]:
        """Raises ModelError."""
        raise ModelError("free answers need a language model; name one with --model")

    def packed(self, reading: Reading) -> Reading:
        """The reading as it is."""
        return reading

    def write(
        self, prompt: Reading | str, how: Writing, cancel: Flag | None = None, user: str = ""
    ) -> Iterator[Written | Finished]:
        """Raises ModelError."""
        raise ModelError("a completion needs a language model; name one with --model")

    def work(self) -> None:
        """Nothing runs."""

    def forget(self, document_id: str) -> int:
        """Nothing was read, so nothing is forgotten."""
        return 0

    def close(self) -> None:
        """Nothing to close."""


def _bundled() -> Path | None:
    return BUNDLED if (BUNDLED / "config.json").exists() else None


def find_folder(model: str) -> Path:
    """The folder of a model that is here, or fetched from the hub; raises ModelError."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").exists():
            raise ModelError(f"{folder}: holds no model (there is no config.json)")
        return folder
    if not _HUB_ID.fullmatch(model):
        raise ModelError(f"{model}: is no folder, hub id (owner/name) or http(s) URL")
    return _from_hub(model)


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(model, allow_patterns=list(_HUB_FILES), local_files_only=True)
        )
    except LocalEntryNotFoundError:
        pass  # not in the cache yet
    try:
        return Path(snapshot_download(model, allow_patterns=list(_HUB_FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{model}: no such folder, and the hub did not give it: {reason}"
        ) from None
