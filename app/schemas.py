"""The API's wire types. An option that is not here is an error, never ignored."""

from dataclasses import asdict
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.library import Collection, DocumentRow
from app.types import Answer, AnswerMode, RetrievedPassage

MESSAGES = 200
CHARACTERS = 200_000


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


class ChatRequest(Strict):
    """POST /v1/chat/completions."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1, max_length=MESSAGES)
    documents: list[ChatDocument] = Field(default_factory=list, max_length=MESSAGES)
    stream: bool = False
    stream_options: StreamOptions | None = None


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
