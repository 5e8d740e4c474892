"""The API under /v1: collections with cited answers, beside OpenAI's completions."""

from collections.abc import Iterator
from threading import Event as Signal
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Path
from fastapi.responses import JSONResponse, Response

from app.serving.completions import completions
from app.serving.replies import Awaited, add_errors, started, stream
from app.serving.schemas import (
    AskRequest,
    answer_object,
    collection_object,
    document_object,
    list_object,
    passage_object,
)
from app.serving.service import Service
from app.types import Checking, Done, Event, Retrieved, TextDelta

Id = Annotated[int, Path(lt=2**63)]  # what the database can hold


def add_api(app: FastAPI, service: Service) -> None:
    """Put the API's routes and its error envelope into `app`."""
    app.include_router(_collections(service), prefix="/v1")
    app.include_router(completions(service.models.language_model), prefix="/v1")
    app.add_api_route("/healthz", _healthy)
    add_errors(app)


async def _healthy() -> dict[str, str]:
    """Whether the server answers; not in a thread, which requests may all have taken."""
    return {"status": "ok"}


def _collections(service: Service) -> APIRouter:
    router, library = APIRouter(), service.library

    @router.get("/collections")
    def collections() -> dict[str, Any]:
        return list_object([collection_object(each) for each in library.collections()])

    @router.get("/collections/{collection_id}/documents")
    def documents(collection_id: Id) -> dict[str, Any]:
        library.collection(collection_id)  # raises NotFound
        return list_object([document_object(each) for each in library.documents(collection_id)])

    @router.post("/collections/{collection_id}/ask")
    async def ask(collection_id: Id, body: AskRequest) -> Response:
        def answer(cancel: Signal) -> Response:
            events = service.ask(
                collection_id,
                body.question,
                mode=body.answer_mode(),
                documents=body.documents,
                history=[(turn.question, turn.answer) for turn in body.history],
                twice=body.twice,
                cancel=cancel,
            )
            if body.stream:
                return stream(map(_event_line, started(events)))
            return JSONResponse(answer_object(_last(events)))

        return Awaited(answer)

    return router


def _last(events: Iterator[Event]) -> Any:
    return next(event.answer for event in events if isinstance(event, Done))


def _event_line(event: Event) -> dict[str, Any]:
    if isinstance(event, Retrieved):
        passages = [passage_object(each) for each in event.passages]
        return {"object": "answer.passages", "searched": event.searched, "passages": passages}
    if isinstance(event, Checking):
        return {"object": "answer.checking", "drafts": event.drafts, "differ": event.differ}
    if isinstance(event, TextDelta):
        return {"object": "answer.delta", "text": event.text}
    return answer_object(event.answer)
