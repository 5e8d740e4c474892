"""Any causal language model that transformers loads, as what answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.answering.prompt import Reading, document
from app.experiments.models.answerer import LIKELIEST, Answered, Sampling
from app.experiments.models.files import digest_of_model, size_of_model
from app.experiments.models.transformers_scorer import load_causal_model
from app.experiments.qa.prompt import Prompt, chat_messages, document_messages, paper_parts
from app.models.model_types import ModelError


class TransformersAnswerer:
    """A model folder read by transformers; each prompt is read anew."""

    def __init__(self, folder: Path, name: str, answer_tokens: int) -> None:
        self._model, self._tokenizer, context = load_causal_model(folder, name)
        if context is None:
            raise ModelError(f"{name}: config.json does not say how many tokens it reads")
        self.name = name
        self.digest: str | None = digest_of_model(folder)
        self.parameters: int | None = size_of_model(self._model)
        self.limit = context - answer_tokens
        self.answer_tokens = answer_tokens

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts it can be asked with, the one it knows best first."""
        if not self._tokenizer.chat_template:
            return (Prompt.PAPER,)
        if "documents" not in str(self._tokenizer.chat_template):
            return (Prompt.CHAT, Prompt.PAPER)
        return (Prompt.DOCUMENTS, Prompt.CHAT, Prompt.PAPER)

    def length(self, prompt: Prompt, reading: Reading) -> int:
        """Tokens of a prompt."""
        return len(self._ids(prompt, reading))

    def answer(self, prompt: Prompt, reading: Reading, how: Sampling = LIKELIEST) -> Answered:
        """What it writes; the paper's prompt is answered by one line.

        New tokens alone are decoded: cutting the prompt's length off the whole text goes wrong
        wherever decoding does not give the prompt back.
        """
        import torch

        ids = self._ids(prompt, reading)
        read = torch.tensor([ids], device=self._model.device)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(how.seed)
            made = self._model.generate(
                read,
                attention_mask=torch.ones_like(read),
                max_new_tokens=self.answer_tokens,
                pad_token_id=self._tokenizer.eos_token_id,
                **_choosing(how),
            )[0, len(ids) :]
        text = str(self._tokenizer.decode(made, skip_special_tokens=True))
        text = text.partition("\n")[0] if prompt is Prompt.PAPER else text
        return Answered(text, len(ids), 0, len(made))

    def close(self) -> None:
        """The memory goes with the object."""

    def _ids(self, prompt: Prompt, reading: Reading) -> Sequence[int]:
        if prompt is Prompt.PAPER:  # with the tokenizer's beginning, as for any prompt
            return list(self._tokenizer("".join(paper_parts(reading)), verbose=False).input_ids)
        given = {}
        if prompt is Prompt.DOCUMENTS:
            documents = [document(passage) for passage in reading.passages]
            given = {"documents": documents or None}
        said = document_messages(reading) if given else chat_messages(reading)
        encoded = self._tokenizer.apply_chat_template(
            said, add_generation_prompt=True, return_dict=True, **given
        )
        return list(encoded["input_ids"])


def _choosing(how: Sampling) -> dict[str, Any]:
    """The options of `generate`; no word is kept from being drawn."""
    if not how.temperature:
        return {"do_sample": False}
    return {"do_sample": True, "temperature": how.temperature, "top_k": 0, "top_p": 1.0}
