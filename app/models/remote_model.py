"""A language model behind any OpenAI-compatible server: vLLM, llama.cpp, a hosted one."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from queue import Empty, SimpleQueue
from threading import Event as Flag
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.answering.prompt import (
    Reading,
    document_text,
    messages_with_documents,
    pack,
    question_text,
)
from app.models.model_types import Finished, ModelError, PromptError, Writing, Written
from app.types import CacheUse

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 300.0  # a server on a CPU may read the passages for minutes before it answers
CANCEL_SECONDS = 0.05  # how soon a cancelled answer stops
CHARACTERS_A_TOKEN = 3  # its tokenizer is unknown; fewer than English has, so that prompts fit
DEFAULTS = asdict(Writing())
PASSED_ON = ("max_tokens", "temperature", "top_p", "seed")  # what every such server knows
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class RemoteModel:
    """A model at `url` (".../v1"); `url#name` picks one where the server has several."""

    is_remote = True

    def __init__(self, url: str, *, prompt_tokens: int, answer_tokens: int) -> None:
        parts = urlsplit(url)
        if parts.hostname is None:
            raise ModelError(
                f"{url}: not the address of a server; it should look like http://HOST/v1"
            )
        self.host: str | None = (
            parts.hostname if parts.port is None else parts.netloc.split("@")[-1]
        )
        self._prompt_tokens, self._answer_tokens = prompt_tokens, answer_tokens
        self._client = httpx.Client(
            base_url=parts._replace(path=parts.path.rstrip("/") or "/v1", fragment="").geturl(),
            headers=_authorization(),
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            trust_env=parts.hostname not in LOOPBACK,  # no proxy between us and this machine
        )
        try:
            self.name = parts.fragment or self._first_model()
        except BaseException:
            self._client.close()
            raise

    @property
    def notice(self) -> str:
        """What the page must say before anyone asks."""
        return f"Passages are sent to {self.host}."

    def generate(self, reading: Reading, cancel: Flag | None = None) -> Iterator[str | Finished]:
        """The answer in pieces, then how it ended. Raises ModelError, which names the host."""
        for piece in self.write(self.packed(reading), Writing(), cancel):
            yield piece if isinstance(piece, Finished) else piece.text

    def packed(self, reading: Reading) -> Reading:
        """The reading with as many passages as fit, by a cautious count of characters a token."""
        room = self._prompt_tokens - _tokens(question_text(reading))
        costs = [_tokens(document_text(passage)) for passage in reading.passages]
        return replace(reading, passages=pack(reading.passages, costs, room))

    def write(
        self, prompt: Reading | str, how: Writing, cancel: Flag | None = None, user: str = ""
    ) -> Iterator[Written | Finished]:
        """The answer to a whole reading; raises PromptError for anything else.

        Of how it is written, the server is told what PASSED_ON names; what is too long for its
        model, it must say.
        """
        if isinstance(prompt, str):
            raise PromptError(f"{self.host}: only chats are passed on; ask it for a completion")
        changed = [name for name, value in asdict(how).items() if value != DEFAULTS[name]]
        if asked := [name for name in changed if name not in PASSED_ON]:
            raise PromptError(f"{', '.join(asked)}: not passed on to {self.host}; ask it itself")
        body = self._body(prompt) | {name: getattr(how, name) for name in changed}
        usage: dict[str, Any] = {}
        cut_off, cancel = False, cancel or Flag()
        for chunk in _until(cancel, self._chunks(body)):
            usage = chunk.get("usage") or usage
            for choice in (chunk.get("choices") or ())[:1]:
                cut_off = cut_off or choice.get("finish_reason") == "length"
                if piece := (choice.get("delta") or {}).get("content"):
                    yield Written(piece)
        use = _cache_use(usage)
        yield Finished(use, cancel.is_set(), use.written_tokens, cut_off)

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that answers one request below the server's address.

        Raises ModelError, which names the host.
        """
        try:
            reply = self._client.post(path, json=body)
        except httpx.HTTPError as error:
            raise ModelError(f"{self.host}: cannot be reached ({_reason(error)})") from None
        self._check(reply)
        return self._chunk(reply.text)

    def work(self) -> None:
        """Nothing runs here."""

    def forget(self, document_id: str) -> int:
        """Nothing of ours is kept there: 0 snapshots forgotten."""
        return 0

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(self, reading: Reading) -> dict[str, Any]:
        """What is asked of the server: the likeliest answer, streamed."""
        return {
            "model": self.name,
            "messages": messages_with_documents(reading),
            "max_tokens": self._answer_tokens,
            "temperature": 0.0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def _first_model(self) -> str:
        try:
            reply = self._client.get("models")
            self._check(reply)
            return str(reply.json()["data"][0]["id"])
        except httpx.HTTPError as error:
            raise ModelError(f"{self.host}: cannot be reached ({_reason(error)})") from None
        except (ValueError, LookupError, TypeError):
            raise ModelError(
                f"{self.host}: lists no models at {self._client.base_url}models; "
                "is it an OpenAI-compatible server? Its address usually ends in /v1"
            ) from None

    def _chunks(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The JSON objects of the server's event stream."""
        try:
            with self._client.stream("POST", "chat/completions", json=body) as reply:
                if reply.is_error:
                    reply.read()
                self._check(reply)
                for line in reply.iter_lines():
                    data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
                    if data == "[DONE]":
                        return
                    if data:
                        yield self._chunk(data)
        except httpx.HTTPError as error:
            raise ModelError(f"{self.host}: the answer broke off ({_reason(error)})") from None

    def _chunk(self, data: str) -> dict[str, Any]:
        try:
            chunk = json.loads(data)
        except ValueError:
            raise ModelError(f"{self.host}: sent what is not JSON") from None
        if not isinstance(chunk, dict) or "error" in chunk:
            raise ModelError(f"{self.host}: {_message(chunk)}")
        return chunk

    def _check(self, reply: httpx.Response) -> None:
        if not reply.is_error:
            return
        if reply.status_code in (401, 403):
            raise ModelError(f"{self.host}: refused the key; set ORBWEAVER_MODEL_KEY")
        try:
            said = _message(reply.json())
        except ValueError:
            said = reply.text[:200]
        raise ModelError(f"{self.host}: answered {reply.status_code}: {said}")


def _until(cancel: Flag, chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The chunks as they come until `cancel` is set: a silent server is not waited for."""
    box: SimpleQueue[dict[str, Any] | BaseException | None] = SimpleQueue()
    gone = Flag()

    def pump() -> None:
        try:
            for chunk in chunks:
                box.put(chunk)
                if gone.is_set():
                    return  # which closes the connection
            box.put(None)
        except BaseException as error:  # raised where the chunks are read
            box.put(error)

    Thread(target=pump, daemon=True).start()
    try:
        while not cancel.is_set():
            try:
                chunk = box.get(timeout=CANCEL_SECONDS)
            except Empty:
                continue
            if chunk is None:
                return
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        gone.set()


def _authorization() -> dict[str, str]:
    # Only our own variable: another service's key must not travel to whatever host is named.
    key = os.environ.get("ORBWEAVER_MODEL_KEY")
    return {"Authorization": f"Bearer {key}"} if key else {}


def _tokens(text: str) -> int:
    return len(text) // CHARACTERS_A_TOKEN + 1


def _cache_use(usage: dict[str, Any]) -> CacheUse:
    details = usage.get("prompt_tokens_details") or {}
    cached = int(details.get("cached_tokens") or 0)
    written = usage.get("completion_tokens")
    return CacheUse(
        int(usage.get("prompt_tokens") or 0),
        cached,
        "none",
        written_tokens=None if written is None else int(written),
    )


def _message(body: Any) -> str:
    """What an error body says, in one line of at most 200 characters."""
    error = body.get("error", body) if isinstance(body, dict) else body
    said = error.get("message", error) if isinstance(error, dict) else error
    return " ".join(str(said).split())[:200]


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__
