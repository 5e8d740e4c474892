"""The page that asks for the password; it stands alone, since nothing else may load before it."""

from app.ui.escape import Html, html


def page(message: str = "") -> Html:
    """The sign-in form, with what was wrong with the last try."""
    return html(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Orbweaver</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><style>{style}</style></head><body>'
        '<form method="post" action="/signin"><h1>Orbweaver</h1>'
        '<label for="password">Password</label>'
        '<input id="password" name="password" type="password" required autofocus '
        'autocomplete="current-password" aria-describedby="message">'
        '<p id="message" role="alert">{message}</p><button>Sign in</button></form></body></html>',
        style=_STYLE,
        message=message,
    )


_STYLE = html(
    "body{{margin:0;min-height:100vh;display:grid;place-items:center;font:1rem/1.5 system-ui,"
    "sans-serif}}form{{display:grid;gap:.6rem;width:min(20rem,86vw)}}h1{{font-size:1.4rem;"
    "margin:0 0 .6rem}}input,button{{font:inherit;padding:.55rem .7rem;border-radius:6px;border:"
    "1px solid #8a9a9c}}button{{background:#0b6b66;color:#fff;border:0;cursor:pointer}}"
    "p{{color:#c0392b;margin:0;min-height:1.5em}}:focus-visible{{outline:2px solid #0b6b66;"
    "outline-offset:2px}}"
)
