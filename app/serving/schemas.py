"""The API's wire types. An option that is not here is an error, never ignored."""

from dataclasses import asdict, replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.library import Collection, DocumentRow
from app.models.model_types import Writing
from app.types import Answer, AnswerMode, RetrievedPassage

MESSAGES = 200
CHARACTERS = 200_000
CHOICES = 8  # texts for one prompt
STOPS = 16
STOP_CHARACTERS = 200


class Strict(BaseModel):
    """Refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ChatMessage(Strict):
    """One message of a chat; the last one is the user's question."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=CHARACTERS)


class ChatDocument(Strict):
    """A text the model reads before it answers."""

    title: str = ""
    text: str = Field(max_length=CHARACTERS)


class StreamOptions(Strict):
    """Whether a stream ends with the usage."""

    include_usage: bool = False


class WritingOptions(Strict):
    """What both kinds of completion know; the last five of the first block are not OpenAI's."""

    model: str
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    stop: str | list[str] | None = None
    logit_bias: dict[int, float] | None = None
    n: int = Field(default=1, ge=1, le=CHOICES)
    top_k: int | None = Field(default=None, ge=1)
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    stop_token_ids: list[int] = Field(default_factory=list, max_length=STOPS)

    user: str = Field(default="", max_length=200)  # users take turns
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, given: Any) -> Any:
        """Null is how OpenAI's clients leave an option out."""
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}

    @field_validator("stop")
    @classmethod
    def _stop_strings(cls, given: str | list[str] | None) -> tuple[str, ...]:
        stops = (given,) if isinstance(given, str) else tuple(given or ())
        if len(stops) > STOPS or not all(0 < len(stop) <= STOP_CHARACTERS for stop in stops):
            raise ValueError(f"at most {STOPS} texts of 1 to {STOP_CHARACTERS} characters")
        return stops

    @field_validator("logit_bias")
    @classmethod
    def _biases(cls, given: dict[int, float] | None) -> dict[int, float]:
        if not all(abs(bias) <= 100 for bias in (given or {}).values()):
            raise ValueError("each bias lies between -100 and 100")
        return given or {}

    def writing(self) -> Writing:
        """The options as the model takes them."""
        return Writing(
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            logit_bias=self.logit_bias or {},
            seed=self.seed,
            stop=tuple(self.stop or ()),
            stop_ids=tuple(self.stop_token_ids),
        )


class ChatRequest(WritingOptions):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MESSAGES)
    documents: list[ChatDocument] = Field(default_factory=list, max_length=MESSAGES)
    max_completion_tokens: int | None = Field(default=None, ge=1)  # OpenAI's newer name
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=20)

    @model_validator(mode="after")
    def _fit(self) -> "ChatRequest":
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs")
        if self.max_tokens and self.max_completion_tokens:
            raise ValueError("max_tokens and max_completion_tokens are one option; give one")
        return self

    def writing(self) -> Writing:
        """The options as the model takes them."""
        logprobs = self.top_logprobs if self.logprobs else None
        limit = self.max_tokens or self.max_completion_tokens
        return replace(super().writing(), logprobs=logprobs, max_tokens=limit)


class CompletionRequest(WritingOptions):
    """POST /v1/completions: what follows a text."""

    prompt: str = Field(min_length=1, max_length=CHARACTERS)
    logprobs: int | None = Field(default=None, ge=0, le=20)

    def writing(self) -> Writing:
        """The options as the model takes them."""
        return replace(super().writing(), logprobs=self.logprobs)


class Turn(Strict):
    """An earlier question with the text of its answer."""

    question: str = Field(max_length=CHARACTERS)
    answer: str = Field(max_length=CHARACTERS)


class AskRequest(Strict):
    """POST /v1/collections/{id}/ask; `documents` are ids, and none of them means all."""

    question: str
    mode: Literal["quote", "free"] | None = None
    documents: list[str] | None = Field(default=None, min_length=1)
    history: list[Turn] = Field(default_factory=list, max_length=MESSAGES)
    twice: bool = False  # compare several drafts of a free answer
    stream: bool = False

    def answer_mode(self) -> AnswerMode | None:
        """The mode asked for; None is the server's default."""
        return None if self.mode is None else AnswerMode(self.mode)


def answer_object(answer: Answer) -> dict[str, Any]:
    """An answer as programs get it: the same values that the page shows and stores."""
    return {
        "object": "answer",
        "question": answer.question,
        "searched": answer.searched,
        "answer": answer.text,
        "mode": answer.mode.value,
        "sentences": [asdict(each) for each in answer.sentences],
        "citations": [asdict(each) for each in answer.citations],
        "passages": [passage_object(each) for each in answer.passages],
        "timings": asdict(answer.timings),
        "cache": asdict(answer.cache),
        "model": answer.model,
        "stopped": answer.stopped,
        "check": answer.check and asdict(answer.check),
    }


def passage_object(passage: RetrievedPassage) -> dict[str, Any]:
    """A retrieved passage with what each retriever said of it."""
    return asdict(passage)


def collection_object(collection: Collection) -> dict[str, Any]:
    """A collection with its document counts."""
    return {
        "object": "collection",
        "id": collection.id,
        "name": collection.name,
        "created": int(collection.created_at),
        "documents": collection.documents,
        "ready": collection.ready,
    }


def document_object(row: DocumentRow) -> dict[str, Any]:
    """A document; its id is the SHA-256 of its bytes."""
    return {
        "object": "document",
        "id": row.digest,
        "name": row.name,
        "bytes": row.size,
        "state": row.state.value,
        "reason": row.reason,
        "progress": row.progress,
        "pages": row.pages,
        "passages": row.passages,
        "added": int(row.added_at),
    }


def list_object(data: list[dict[str, Any]]) -> dict[str, Any]:
    """OpenAI's list."""
    return {"object": "list", "data": data}
