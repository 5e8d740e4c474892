"""One ASGI application: the API, the page, and the guard around both."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.library import NotFound
from app.sample import sample_files, sample_questions
from app.serving.api import add_api
from app.serving.body_limit import BODY_BYTES, BodyLimit
from app.serving.metrics import Measured, Metrics
from app.serving.security import COOKIE, SESSION_SECONDS, Access, Guard, Sessions, same_secret
from app.serving.service import Service

THREADS = 400  # a question holds one; more than a model runs and lets wait
WRONG_PASSWORD_SECONDS = 1.0  # makes guessing slow
# Under /v1 what is not there; of Gradio, the routes that call page handlers by their names.
CLOSED_PATHS = (
    "/v1/{rest:path}",
    "/gradio_api/call/{rest:path}",
    "/gradio_api/api/{rest:path}",
    "/gradio_api/run/{rest:path}",
)
UPLOAD_PATH = "/gradio_api/upload"
UPLOAD_BYTES = 2**30  # what Gradio takes in; the library refuses files over its own limit by name


def build_app(service: Service, access: Access) -> FastAPI:
    """The whole application over `service`, which is closed when the server shuts down."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        service.load()
        yield
        service.close()

    app, sessions = FastAPI(lifespan=lifespan, openapi_url=None), Sessions()
    metrics = Metrics(service.library, service.models.work)
    add_api(app, service)
    app.get("/metrics")(lambda: Response(metrics.text(), media_type=metrics.media_type))
    _add_downloads(app, service)
    _add_sign_in(app, access, sessions)
    for path in CLOSED_PATHS:
        app.add_api_route(path, _nothing_here, methods=["GET", "POST", "PUT", "DELETE"])
    _mount_page(app, service)
    app.add_middleware(BodyLimit, limit=BODY_BYTES, free={UPLOAD_PATH})
    app.add_middleware(Measured, metrics=metrics)
    app.add_middleware(Guard, access=access, sessions=sessions)
    return app


def _nothing_here() -> None:
    raise NotFound("there is nothing here; see /v1/models and /v1/collections")


def _mount_page(app: FastAPI, service: Service) -> None:
    import gradio as gr

    from app.ui import page, theme
    from app.ui.desk import Desk

    examples = [each.question for each in sample_questions() if each.example]
    gr.mount_gradio_app(
        app,
        page.build(Desk(service, examples, _digests())),
        path="/",
        footer_links=[],
        run_history=False,  # would keep what people asked
        ssr_mode=False,
        enable_monitoring=False,
        max_file_size=UPLOAD_BYTES,
        head=page.ICON,
        i18n=gr.I18n(en=page.WORDS),
        theme=theme.theme(),
        css_paths=[page.HERE / "style.css", page.HERE / "experiments.css"],
        show_error=False,  # errors of ours are shown where they happen
    )


def _add_downloads(app: FastAPI, service: Service) -> None:
    @app.get("/chats/{chat_id}.md")
    def export(chat_id: int) -> Response:
        chat, text = service.library.chat(chat_id), service.library.export_markdown(chat_id)
        named = (
            f"attachment; filename=\"chat.md\"; filename*=UTF-8''{quote(chat.title, safe='')}.md"
        )
        return Response(text, media_type="text/markdown", headers={"Content-Disposition": named})

    @app.get("/experiments/{number}.zip")
    def archive(number: int) -> Response:
        named = f'attachment; filename="experiment-{number}.zip"'
        packed = service.experiments.archive(number)
        return Response(
            packed, media_type="application/zip", headers={"Content-Disposition": named}
        )

    @app.get("/experiments/report.html")
    def report(request: Request) -> Response:
        from app.experiments.report.document import document
        from app.experiments.report.report import make_report
        from app.ui.lab import chosen

        numbers = chosen(request.query_params.getlist("run"))
        runs = [service.experiments.finished(number) for number in numbers]
        headers = {"Content-Disposition": 'attachment; filename="report.html"'}
        return HTMLResponse(document(make_report(runs)), headers=headers)


def _add_sign_in(app: FastAPI, access: Access, sessions: Sessions) -> None:
    from app.ui.signin import page

    @app.get("/signin")
    def ask_password() -> HTMLResponse:
        return HTMLResponse(page())

    @app.post("/signin")
    async def sign_in(request: Request) -> Response:
        given = (await request.form()).get("password")
        if access.secret is None or (isinstance(given, str) and same_secret(given, access.secret)):
            answer = RedirectResponse("/", status_code=303)
            token, secure = sessions.issue(time.time()), request.url.scheme == "https"
            answer.set_cookie(
                COOKIE, token, SESSION_SECONDS, httponly=True, samesite="lax", secure=secure
            )
            return answer
        await asyncio.sleep(WRONG_PASSWORD_SECONDS)
        return HTMLResponse(page("That is not the password."), status_code=401)


def _digests() -> frozenset[str]:
    """The sample documents' ids, by which the page knows a collection that holds them."""
    return frozenset(hashlib.sha256(path.read_bytes()).hexdigest() for path in sample_files())
