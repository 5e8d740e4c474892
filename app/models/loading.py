"""Encoder, reader and language model, loaded in the background while the page is up already."""

from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from app.answering.reader import open_reader
from app.settings import Settings

if TYPE_CHECKING:
    from app.models.resolve import LanguageModel
    from jamba.load import Load
    from retrieval.encoders.encoder import Encoder
    from retrieval.reading.reader import Reader

T = TypeVar("T")


class Loading(StrEnum):
    """How far something that loads in the background has come."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


class Models:
    """The models of a server; whoever needs one waits for it, and gets what loading raised."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._encoder: Future[Encoder] = Future()
        self._reader: Future[Reader] = Future()
        self._language_model: Future[LanguageModel] = Future()

    def load(self, between: Callable[[], None]) -> None:
        """Start loading encoder and reader, then the language model, with `between` before it."""
        # A daemon, so that Ctrl-C does not wait for a large model.
        Thread(target=self._load, args=(between,), name="load", daemon=True).start()

    def encoder(self) -> "Encoder":
        """The encoder of every index here."""
        return self._encoder.result()

    def reader(self) -> "Reader":
        """The reader that finds the words that answer."""
        return self._reader.result()

    def language_model(self) -> "LanguageModel":
        """The model that writes free answers."""
        return self._language_model.result()

    def loaded_model(self) -> "LanguageModel | None":
        """The model that writes free answers if it is there already; never waits."""
        future = self._language_model
        return future.result() if future.done() and future.exception() is None else None

    def state(self) -> tuple[Loading, str]:
        """How far the language model is, and what it is or why it failed; never waits."""
        if not self._language_model.done():
            return Loading.LOADING, "The model is loading."
        if (error := self._language_model.exception()) is not None:
            return Loading.FAILED, str(error)
        return Loading.READY, _introduced(self._language_model.result())

    def remote_host(self) -> str | None:
        """Where passages are sent for free answers; None while nothing leaves this computer."""
        model = self.loaded_model()
        return None if model is None else model.host

    def work(self) -> "Load | None":
        """How busy the language model is; None where none runs here, or not yet."""
        model = self.loaded_model()
        return None if model is None else model.work()

    def forget(self, document_id: str) -> None:
        """Drop the states that have read a document, those of models not loaded, too."""
        if (model := self.loaded_model()) is not None:
            model.forget(document_id)
        if self._settings.snapshot_folder.is_dir():
            from jamba.cache.disk import SnapshotFolder

            SnapshotFolder(self._settings.snapshot_folder).forget(document_id)

    def close(self) -> None:
        """Give the language model's threads and memory back."""
        if (model := self.loaded_model()) is not None:
            model.close()

    def _load(self, between: Callable[[], None]) -> None:
        _settle(self._encoder, lambda: _load_encoder(self._settings))
        _settle(self._reader, lambda: open_reader(self._settings.reader))
        between()
        _settle(self._language_model, lambda: load_language_model(self._settings))


def _introduced(model: "LanguageModel") -> str:
    """A model by its name and what must be known of it."""
    if model.name == "none":
        return model.notice
    return f"{model.name}: {model.notice}" if model.notice else f"Written by {model.name}."


def _load_encoder(settings: Settings) -> "Encoder":
    from retrieval.encoders.encoder import load_encoder

    return load_encoder(settings.encoder)


def load_language_model(settings: Settings, keep: bool = True) -> "LanguageModel":
    """The model that the settings name; with `keep`, its states outlive the process."""
    from app.models.resolve import resolve

    return resolve(
        settings.model,
        prompt_tokens=settings.prompt_tokens,
        answer_tokens=settings.answer_tokens,
        snapshot_mb=settings.snapshot_mb,
        snapshot_folder=settings.snapshot_folder if keep else None,
        snapshot_disk_mb=settings.snapshot_disk_mb,
        quantisation=settings.quantisation,
        device=settings.device,
    )


def _settle(future: Future[T], load: Callable[[], T]) -> None:
    """Keep what loading gives or raises, for everyone who waits."""
    try:
        future.set_result(load())
    except Exception as error:
        future.set_exception(error)
