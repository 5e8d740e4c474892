"""serve and demo: the page and the API, with a worker beside them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on; loopback by default.")]
Port = Annotated[int | None, typer.Option(help="Port; 0 takes a free one.")]
Model = Annotated[str | None, typer.Option(help="A folder, a hub id or a URL.")]
Encoder = Annotated[str | None, typer.Option(help="A folder or a hub id.")]
Reader = Annotated[Path | None, typer.Option(help="A folder from `train reader`.")]
Home = Annotated[Path | None, typer.Option(help="Where the library is kept.")]
AllowHost = Annotated[list[str] | None, typer.Option(help="A name this server is reached by.")]
AllowOpen = Annotated[
    bool, typer.Option("--allow-open", help="Listen beyond loopback without a password.")
]


def register(app: typer.Typer) -> None:
    """Add `serve` and `demo`."""

    @app.command()
    def serve(
        host: Host = None,
        port: Port = None,
        model: Model = None,
        encoder: Encoder = None,
        reader: Reader = None,
        home: Home = None,
        allow_host: AllowHost = None,
        allow_open: AllowOpen = False,
    ) -> None:
        """Open the page and the API over your library; ORBWEAVER_PASSWORD locks both."""
        from app.settings import load_settings

        settings = load_settings(
            host=host,
            port=port,
            model=model,
            encoder=encoder,
            reader=reader,
            home=home,
            allow_open=allow_open or None,
        )
        _run(settings, allow_host or [])

    @app.command()
    def demo(host: Host = None, port: Port = None, model: Model = None, home: Home = None) -> None:
        """Make the sample collection once, then open the page."""
        from app.settings import load_settings

        _run(load_settings(host=host, port=port, model=model, home=home), [], sample=True)


def _run(settings: "Settings", allowed_hosts: list[str], *, sample: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM; whatever was started here ends here."""
    from app.library import Library
    from app.serving.running import (
        keep_worker,
        listen,
        make_sample,
        serve_forever,
        terminate_politely,
    )
    from app.serving.security import access_for
    from retrieval.parse.ocr import require as require_ocr

    password = settings.password
    access = access_for(
        settings.host,
        secret=None if password is None else password.get_secret_value(),
        allowed_hosts=allowed_hosts,
        allow_open=settings.allow_open,
    )
    if settings.ocr:
        require_ocr()
    terminate_politely()
    with listen(settings.host, settings.port) as listener:
        library = Library.open(settings.home)
        with keep_worker(settings.home, settings.encoder):
            if sample:
                make_sample(library)
            serve_forever(listener, settings, library, access)
