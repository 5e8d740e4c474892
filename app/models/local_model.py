"""A Jamba checkpoint in a folder, read by our own engine with its cache of states."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from typing import TYPE_CHECKING, TypeVar

from app.answering.prompt import Reading
from app.models.layout import PromptLayout
from app.models.model_spans import ModelSpans, SpanFinder, cache_use
from app.models.model_types import (
    Finished,
    ModelBusy,
    ModelError,
    PromptError,
    PromptTooLong,
    Token,
    Writing,
    Written,
)
from app.types import CacheUse
from jamba.config import Quantisation

if TYPE_CHECKING:
    from jamba.cache.snapshots import SnapshotStore
    from jamba.engine import Kept
    from jamba.load import Load
    from jamba.sampling import Chosen, SamplingParams
    from jamba.sequence import Request

T = TypeVar("T")
GPU_CHUNK = 2048  # prompt tokens a step: fewer leave a GPU idle
CANCEL_SECONDS = 0.05  # how soon the end of a request is noticed
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
        snapshots: "SnapshotStore",
        quantisation: Quantisation = Quantisation.NONE,
        device: str | None = None,  # None: a GPU where there is one
    ) -> None:
        import jamba
        from jamba.network.weights import best_place
        from jamba.scheduler import Limits
        from jamba.tokens.chat import load_tokenizer

        try:
            self._tokenizer = load_tokenizer(folder)
            place = best_place(device)
            model = jamba.load_model(folder, str(place.device), place.dtype, quantisation)
        except (jamba.JambaError, OSError) as error:
            raise ModelError(f"{name}: {error}") from None
        self.name, self.notice = name, notice
        context = model.config.max_position_embeddings - answer_tokens
        self._layout = PromptLayout(self._tokenizer, name, min(prompt_tokens, context))
        self._answer_tokens = answer_tokens
        self._snapshots = snapshots
        limits = Limits(chunk=GPU_CHUNK) if place.device.type == "cuda" else Limits()
        self._engine = jamba.Engine(model, snapshots, limits)
        ends = {*self._tokenizer.eos_ids, *model.config.eos_token_ids}
        if not self._tokenizer.has_template:
            ends.update(self._tokenizer.encode("\n")[-1:])
        self._finder = SpanFinder(self._tokenizer, self._layout, frozenset(ends))

    def generate(self, reading: Reading, cancel: Flag | None = None) -> Iterator[str | Finished]:
        """The answer in pieces, then how it ended and what the cache saved."""
        for piece in self.write(self.packed(reading), Writing(), cancel):
            if isinstance(piece, Finished):
                yield piece
            elif piece.text:
                yield piece.text

    def packed(self, reading: Reading) -> Reading:
        """As much of a reading as a prompt holds; PromptTooLong where the question does not fit."""
        return self._layout.packed(reading)

    def write(
        self, prompt: Reading | str, how: Writing, cancel: Flag | None = None, user: str = ""
    ) -> Iterator[Written | Finished]:
        """The answer to a reading, or what follows a text: submitted at once, read as it is made.

        Users take turns. Raises ModelBusy, PromptTooLong where the reading is not `packed`, and
        PromptError where the prompt or an option is not for this model; its pieces raise ModelError
        where the engine fails.
        """
        request = self._asking(prompt, cancel, user)(self._params(how))
        stop = how.stop
        if not isinstance(prompt, str) and not self._tokenizer.has_template:
            stop = (*stop, *TURN_ENDS)
        return self._pieces(request, stop)

    def find_spans(
        self, reading: Reading, cancel: Flag | None = None, power: float | None = None
    ) -> ModelSpans | None:
        """The literal spans that it would answer with, the best first; None if it was cancelled.

        Spans count passages as the reading does. `power` of the length normalises log
        probabilities; None: as the search has it. Raises as `write` does.
        """
        packed = self._layout.packed(reading)
        found = _unless_cancelled(
            lambda: self._finder.find(packed, self._asking(packed, cancel), power)
        )
        places = iter(enumerate(reading.passages))
        numbers = [next(n for n, each in places if each is kept) for kept in packed.passages]
        return found and replace(
            found, spans=tuple(replace(s, passage=numbers[s.passage]) for s in found.spans)
        )

    def weigh_texts(
        self, reading: Reading, texts: Sequence[str], cancel: Flag | None = None
    ) -> tuple[list[float | None], CacheUse] | None:
        """Its log odds that each of some texts answers, rather than that nothing does.

        Best first; None for one that it cannot write, or not within what the question costs. None
        for all if it was cancelled.
        """
        packed = self._layout.packed(reading)
        return _unless_cancelled(
            lambda: self._finder.weigh(packed, texts, self._asking(packed, cancel))
        )

    def keep(
        self, reading: Reading, on_progress: Callable[[int, int], None] | None = None
    ) -> "Kept":
        """Read all that stands before the question, once, and keep the state.

        `on_progress` gets tokens read and tokens in all. Raises PromptError where the passages do
        not fit or the state cannot be kept.
        """
        import jamba

        if self._layout.packed(reading) != reading:
            raise PromptError(
                f"document and question have {self._layout.length(reading)} tokens; "
                f"{self.name} reads at most {self._layout.longest}"
            )
        prompt = self._layout.prompt(reading)
        head = prompt.ids[: prompt.boundaries[-1]]

        def told(done: int) -> None:
            if on_progress is not None:
                on_progress(done, len(head))

        try:
            kept: Kept = self._engine.read(head, reading.passages[0].document_id, told)
        except jamba.JambaError as error:
            raise PromptError(str(error)) from None
        return kept

    def _params(self, how: Writing) -> "SamplingParams":
        import jamba

        try:
            params: SamplingParams = jamba.SamplingParams(
                max_tokens=how.max_tokens or self._answer_tokens,
                temperature=how.temperature,
                top_p=how.top_p,
                top_k=how.top_k,
                min_p=how.min_p,
                repetition_penalty=how.repetition_penalty,
                logit_bias=how.logit_bias,
                seed=how.seed,
                stop_ids=(*self._tokenizer.eos_ids, *how.stop_ids),
                logprobs=how.logprobs,
            )
            return params
        except jamba.JambaError as error:
            raise PromptError(str(error)) from None

    def _asking(
        self, prompt: Reading | str, cancel: Flag | None = None, user: str = ""
    ) -> "Callable[[SamplingParams], Request]":
        """What submits the prompt, each time with other parameters; raises as `write` does."""
        import jamba
        from jamba.scheduler import QueueFull

        ids, boundaries, tags = self._laid_out(prompt)

        def submit(params: "SamplingParams") -> "Request":
            try:
                request: Request = self._engine.submit(
                    ids, params, boundaries=boundaries, tags=tags, user=user
                )
            except QueueFull as error:
                raise ModelBusy(f"{self.name}: {error}") from None
            except jamba.JambaError as error:
                raise PromptError(str(error)) from None
            if cancel is not None:
                self._cancel_with(cancel, request)
            return request

        return submit

    def _pieces(self, request: "Request", stop: tuple[str, ...]) -> Iterator[Written | Finished]:
        from jamba.tokens.text import stream_text

        wants_scores = request.params.logprobs is not None
        decoder, done, is_stop = self._tokenizer.incremental(), 0, False
        for piece in self._of_engine(stream_text(self._engine, request, decoder, stop)):
            chosen = request.chosen[done : done + piece.tokens] if wants_scores else ()
            done, is_stop = done + piece.tokens, piece.is_stop
            yield Written(piece.text, tuple(map(self._token, chosen)))
        end = None if is_stop else request.finish_reason
        cache = cache_use(request.metrics, request.metrics.generated_tokens)
        yield Finished(cache, end == "cancelled", done, end == "length")

    def _of_engine(self, pieces: Iterator[T]) -> Iterator[T]:
        """The same pieces; whatever the engine fails of while it makes them is a ModelError."""
        try:
            yield from pieces
        except Exception as error:
            raise ModelError(f"{self.name}: {error or type(error).__name__}") from error

    def _token(self, chosen: "Chosen") -> Token:
        def named(id: int, logprob: float) -> Token:
            return Token(self._tokenizer.decode([id]), logprob)

        top = tuple(named(*each) for each in chosen.top)
        return replace(named(chosen.token, chosen.logprob or 0.0), top=top)

    def forget(self, document_id: str) -> int:
        """Drop the states that have read a document; how many there were."""
        return int(self._snapshots.forget(document_id))

    def work(self) -> "Load":
        """How busy its engine is."""
        load: Load = self._engine.load
        return load

    def close(self) -> None:
        """Stop the engine's thread and give its memory back."""
        self._engine.close()

    def _cancel_with(self, cancel: Flag, request: "Request") -> None:
        """Cancel the request when `cancel` is set, even while its prompt is still being read."""

        def watch() -> None:
            while not request.is_stopped:
                if cancel.wait(CANCEL_SECONDS):
                    self._engine.cancel(request)

        if cancel.is_set():  # a small model is done before the first look
            self._engine.cancel(request)
        else:
            Thread(target=watch, daemon=True).start()

    def _laid_out(
        self, prompt: Reading | str
    ) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
        """Tokens of a prompt, its snapshot boundaries, and the documents it holds."""
        if isinstance(prompt, str):
            return tuple(self._tokenizer.encode(prompt)), (), ()
        chat, longest = self._layout.prompt(prompt), self._layout.longest
        if len(chat.ids) > longest:
            raise PromptTooLong(
                f"messages and documents have {len(chat.ids)} tokens; {self.name} reads at most "
                f"{longest} of a prompt: send fewer, or raise the server's prompt_tokens"
            )
        documents = {passage.document_id for passage in prompt.passages}
        return chat.ids, chat.boundaries, tuple(sorted(documents))


def _unless_cancelled(search: Callable[[], T]) -> T | None:
    from jamba.spans.span_search import SearchCancelled

    try:
        return search()
    except SearchCancelled:
        return None
