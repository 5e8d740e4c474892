"""Our own engine as what answers, with its cache of states."""

from dataclasses import replace
from pathlib import Path

from app.answering.prompt import Reading, document
from app.experiments.models.answerer import LIKELIEST, Answered, Sampling
from app.experiments.models.files import digest_of_model, size_of_model
from app.experiments.qa.prompt import Prompt, chat_messages, document_messages, paper_parts
from app.models.local_model import GPU_CHUNK
from app.models.model_types import ModelError
from jamba.tokens.chat import ChatPrompt, Part

SNAPSHOT_BYTES = 2**30


class JambaAnswerer:
    """A Jamba checkpoint in a folder; a passage's end is a boundary that later questions use."""

    def __init__(self, folder: Path, name: str, answer_tokens: int) -> None:
        import jamba
        from jamba.network.weights import best_place
        from jamba.scheduler import Limits
        from jamba.tokens.chat import load_tokenizer

        place = best_place()
        try:
            self._tokenizer = load_tokenizer(folder)
            model = jamba.load_model(folder, str(place.device), place.dtype)
        except (jamba.JambaError, OSError) as error:
            raise ModelError(f"{name}: {error}") from None
        self.name = name
        self.digest: str | None = digest_of_model(folder)
        self.parameters: int | None = size_of_model(model)
        self.answer_tokens = answer_tokens
        self.limit = model.config.max_position_embeddings - answer_tokens
        self._params = jamba.SamplingParams(
            max_tokens=answer_tokens, stop_ids=self._tokenizer.eos_ids
        )
        limits = Limits(chunk=GPU_CHUNK) if place.device.type == "cuda" else Limits()
        self._engine = jamba.Engine(model, jamba.SnapshotStore(SNAPSHOT_BYTES), limits)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts it can be asked with, the one it knows best first."""
        if not self._tokenizer.has_template:
            return (Prompt.PAPER,)
        if not self._tokenizer.has_documents:
            return (Prompt.CHAT, Prompt.PAPER)
        return (Prompt.DOCUMENTS, Prompt.CHAT, Prompt.PAPER)

    def length(self, prompt: Prompt, reading: Reading) -> int:
        """Tokens of a prompt."""
        return len(self._laid_out(prompt, reading).ids)

    def answer(self, prompt: Prompt, reading: Reading, how: Sampling = LIKELIEST) -> Answered:
        """What it writes; the paper's prompt is answered by one line."""
        from jamba.tokens.text import stream_text

        laid_out = self._laid_out(prompt, reading)
        params = replace(self._params, temperature=how.temperature, seed=how.seed)
        request = self._engine.submit(laid_out.ids, params, boundaries=laid_out.boundaries)
        stop = ("\n",) if prompt is Prompt.PAPER else ()
        pieces = stream_text(self._engine, request, self._tokenizer.incremental(), stop)
        text = "".join(piece.text for piece in pieces)
        metrics = request.metrics
        return Answered(
            text, metrics.prompt_tokens, metrics.cached_tokens, metrics.generated_tokens
        )

    def close(self) -> None:
        """Stop the engine's threads."""
        self._engine.close()

    def _laid_out(self, prompt: Prompt, reading: Reading) -> ChatPrompt:
        if prompt is Prompt.PAPER:
            *passages, asked = paper_parts(reading)
            parts = [Part(text, is_template=False, is_boundary=True) for text in passages]
            return self._tokenizer.encode_parts([*parts, Part(asked, is_template=False)])
        if prompt is Prompt.CHAT:
            return self._tokenizer.encode_chat(chat_messages(reading))
        documents = [document(passage) for passage in reading.passages]
        return self._tokenizer.encode_chat(document_messages(reading), documents or None)
