"""A Jamba checkpoint in a folder, read by our own engine with its cache of states."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, Any

from app.model_types import Finished, ModelError
from app.prompt import (
    SYSTEM,
    Reading,
    document,
    document_text,
    messages,
    messages_with_documents,
    pack,
    question_text,
)
from app.types import CacheUse

if TYPE_CHECKING:
    from jamba.chat import ChatPrompt
    from jamba.sequence import Request

CANCEL_SECONDS = 0.05  # how soon a cancelled request is noticed
TURN_ENDS = ("\nQuestion:", "\n\n\n")  # where a model without a template begins to go on by itself


class LocalModel:
    """One engine with its tokenizer; calls are safe from any thread."""

    is_remote = False
    host: str | None = None

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        notice: str,
        prompt_tokens: int,
        answer_tokens: int,
        snapshot_bytes: int,
    ) -> None:
        import jamba
        from jamba.chat import load_tokenizer

        try:
            self._tokenizer = load_tokenizer(folder)
            model = jamba.load_model(folder)
        except (jamba.JambaError, OSError) as error:
            raise ModelError(f"{name}: {error}") from None
        self.name, self.notice = name, notice
        context = model.config.max_position_embeddings - answer_tokens
        self._prompt_tokens, self._answer_tokens = min(prompt_tokens, context), answer_tokens
        self._snapshots = jamba.SnapshotStore(max_bytes=snapshot_bytes)
        self._engine = jamba.Engine(model, snapshots=self._snapshots)

    def generate(self, reading: Reading, cancel: Flag | None = None) -> Iterator[str | Finished]:
        """The answer in pieces, then how it ended and what the cache saved."""
        import jamba
        from jamba.text import stream_text

        packed = self._packed(reading)
        prompt = self._prompt(packed)
        request = self._engine.submit(
            prompt.ids,
            jamba.SamplingParams(max_tokens=self._answer_tokens, temperature=0.0),
            boundaries=prompt.boundaries,
            tags=sorted({passage.document_id for passage in packed.passages}),
        )
        stop = () if self._tokenizer.has_template else TURN_ENDS
        with self._cancelled_by(cancel, request):
            yield from stream_text(self._engine, request, self._tokenizer.incremental(), stop)
        end, written = request.finish_reason, request.metrics.generated_tokens
        yield Finished(_cache_use(request.metrics), end == "cancelled", written, end == "length")

    def forget(self, document_id: str) -> int:
        """Drop the states that have read a document; how many there were."""
        return int(self._snapshots.forget(document_id))

    def close(self) -> None:
        """Stop the engine's thread and give its memory back."""
        self._engine.close()

    @contextmanager
    def _cancelled_by(self, cancel: Flag | None, request: "Request") -> Iterator[None]:
        """Cancel the request when `cancel` is set, even while its prompt is still being read."""
        done = Flag()

        def watch(cancel: Flag) -> None:
            while not done.wait(CANCEL_SECONDS):
                if cancel.is_set():
                    self._engine.cancel(request)
                    return

        if cancel is not None and cancel.is_set():  # a small model is done before the first look
            self._engine.cancel(request)
        elif cancel is not None:
            Thread(target=watch, args=(cancel,), daemon=True).start()
        try:
            yield
        finally:
            done.set()

    def _packed(self, reading: Reading) -> Reading:
        """The reading with as many passages as fit; without its history where that is too long."""
        for bare in (replace(reading, passages=()), Reading(reading.question, ())):
            frame = self._length(bare)
            if frame < self._prompt_tokens:
                alone = [replace(bare, passages=(passage,)) for passage in reading.passages]
                costs = [self._length(each) - frame for each in alone]
                room = self._prompt_tokens - frame
                return replace(bare, passages=pack(reading.passages, costs, room))
        raise ModelError(
            f"{self.name}: the question alone is longer than a prompt of {self._prompt_tokens}"
            " tokens; ask it in fewer words"
        )

    def _length(self, reading: Reading) -> int:
        return len(self._prompt(reading).ids)

    def _prompt(self, reading: Reading) -> "ChatPrompt":
        """Tokens and snapshot boundaries, in the layout that the checkpoint knows best."""
        if not self._tokenizer.has_template:
            return self._plain_prompt(reading)
        if not self._tokenizer.has_documents:
            return self._tokenizer.encode_chat(messages_with_documents(reading))
        documents = [document(passage) for passage in reading.passages]
        return self._tokenizer.encode_chat(messages(reading), documents)

    def _plain_prompt(self, reading: Reading) -> "ChatPrompt":
        from jamba.chat import Part

        parts = [Part(f"{SYSTEM}\n", is_template=False, is_boundary=True)]
        for passage in reading.passages:
            text = f"\n{document_text(passage)}\n"
            parts.append(Part(text, is_template=False, is_boundary=True))
        question = f"\nQuestion: {question_text(reading).removeprefix('Question: ')}\nAnswer:"
        return self._tokenizer.encode_parts([*parts, Part(question, is_template=False)])


def _cache_use(metrics: Any) -> CacheUse:
    reason = None if metrics.miss_reason is None else str(metrics.miss_reason)
    return CacheUse(
        metrics.prompt_tokens, metrics.cached_tokens, str(metrics.restored_from), reason
    )
