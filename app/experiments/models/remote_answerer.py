"""A model behind an OpenAI-compatible server, as what answers."""

from typing import Any

from app.answering.prompt import Reading, document
from app.experiments.models.answerer import LIKELIEST, Answered, Sampling
from app.experiments.qa.prompt import Prompt, chat_messages, document_messages, paper_parts
from app.models.model_types import ModelError
from app.models.remote_model import CHARACTERS_A_TOKEN, RemoteModel


class RemoteAnswerer:
    """Asks /v1/chat/completions, or /v1/completions with the paper's prompt."""

    prompts = (Prompt.CHAT, Prompt.PAPER, Prompt.DOCUMENTS)
    digest: str | None = None
    parameters: int | None = None

    def __init__(self, url: str, prompt_tokens: int, answer_tokens: int) -> None:
        self._server = RemoteModel(url, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens)
        self.name = self._server.name
        self.limit = prompt_tokens
        self.answer_tokens = answer_tokens

    def length(self, prompt: Prompt, reading: Reading) -> int:
        """About how many tokens a prompt has: the server's tokenizer is unknown."""
        return len("".join(paper_parts(reading))) // CHARACTERS_A_TOKEN + 1

    def answer(self, prompt: Prompt, reading: Reading, how: Sampling = LIKELIEST) -> Answered:
        """What it writes; the paper's prompt is answered by one line. Raises ModelError."""
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": self.answer_tokens,
            "temperature": how.temperature,
            **({"seed": how.seed} if how.temperature else {}),
        }
        if prompt is Prompt.PAPER:
            body |= {"prompt": "".join(paper_parts(reading)), "stop": ["\n"]}
            return self._answered("completions", body)
        if prompt is Prompt.DOCUMENTS:
            body["documents"] = [document(passage) for passage in reading.passages]
            return self._answered(
                "chat/completions", body | {"messages": document_messages(reading)}
            )
        return self._answered("chat/completions", body | {"messages": chat_messages(reading)})

    def close(self) -> None:
        """Close the connections."""
        self._server.close()

    def _answered(self, path: str, body: dict[str, Any]) -> Answered:
        answer = self._server.ask(path, body)
        try:
            choice = answer["choices"][0]
            text = choice["text"] if path == "completions" else choice["message"]["content"]
        except (LookupError, TypeError):
            raise ModelError(f"{self._server.host}: answered without a text") from None
        usage = answer.get("usage") or {}
        cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
        read, written = (usage.get(f"{kind}_tokens") or 0 for kind in ("prompt", "completion"))
        return Answered(str(text or ""), int(read), int(cached), int(written))
