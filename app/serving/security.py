"""Who may talk to the server: Host and Origin on every route, and one check of the secret.

Loopback is no boundary against a browser: any page a person visits can send requests to
127.0.0.1, by its name or by a name of the attacker's that resolves to it (DNS rebinding).
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.types import OrbweaverError

COOKIE = "orbweaver_session"
SESSION_SECONDS = 7 * 24 * 3600
OPEN_PATHS = frozenset({"/healthz", "/signin"})  # answered without the secret, never without Host
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
EVERYWHERE = frozenset({"", "0.0.0.0", "::", "*"})

# Gradio's scripts are inline and compiled from templates, so they cannot be forbidden; but the page
# may load from and send to this server only.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "media-src 'self' data: blob:; worker-src 'self' blob:; connect-src 'self'; "
    "object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
RESPONSE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" our own forms say Origin: null
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HOST = re.compile(r"(?P<name>\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Access:
    """What a request must show: one of `hosts` (or any literal address), and `secret` if set."""

    hosts: frozenset[str]
    any_address: bool = False
    secret: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further, as an HTTP status and a sentence."""

    status: int
    code: str
    message: str


class UnsafeBinding(OrbweaverError):
    """The server was asked to listen to the network without authentication."""


def access_for(
    host: str,
    *,
    secret: str | None,
    allowed_hosts: Iterable[str] = (),
    allow_open: bool = False,
) -> Access:
    """The rules for a server bound to `host`.

    A server bound to every interface accepts literal addresses (a rebound name never is one) and
    the names in `allowed_hosts`. Raises UnsafeBinding for a non-loopback host without a secret.
    """
    if secret is not None and not secret:
        raise UnsafeBinding(
            "the password is empty: set ORBWEAVER_PASSWORD to a long one or unset it"
        )
    if secret is not None and secret != secret.strip():
        raise UnsafeBinding(
            "the password begins or ends with white space, which programs cannot send: "
            "set ORBWEAVER_PASSWORD to one without"
        )
    if not is_loopback(host) and secret is None and not allow_open:
        raise UnsafeBinding(
            f"refusing to listen on {host or 'every interface'} without a password: set "
            "ORBWEAVER_PASSWORD, or pass --allow-open if everyone who can reach this "
            "machine may read and delete every document"
        )
    names = {name.lower().rstrip(".") for name in allowed_hosts}
    everywhere = host in EVERYWHERE
    own = set() if everywhere else {host.lower().strip("[]").rstrip(".")}
    return Access(frozenset(names | own | LOOPBACK_NAMES), everywhere, secret)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to `host`."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def judge(
    access: Access, method: str, path: str, headers: Headers, signed_in: bool
) -> Refusal | None:
    """The rule a request breaks, or None. Pure: every case can be tested without a server."""
    hosts = headers.getlist("host")
    name = _host_name(hosts[0]) if len(hosts) == 1 else None
    if name is None or not _host_allowed(access, name):
        return Refusal(
            421, "host_not_allowed", "this server does not answer to that Host; see --allow-host"
        )
    if not _same_origin(headers, hosts[0]):
        return Refusal(403, "origin_not_allowed", "requests from other sites are refused")
    if not _fetched_by_us(headers, method):
        return Refusal(403, "origin_not_allowed", "requests from other sites are refused")
    if access.secret is None or path in OPEN_PATHS or signed_in:
        return None
    if _bearer_matches(headers, access.secret):
        return None
    return Refusal(401, "not_signed_in", "sign in, or send the password as a Bearer token")


def same_secret(given: str, secret: str) -> bool:
    """Compare in constant time; hashing first hides the length too."""
    return hmac.compare_digest(_digest(given), _digest(secret))


class Sessions:
    """Signed, expiring tokens for browsers that gave the password; a restart signs everyone out."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def issue(self, now: float) -> str:
        """A token valid for SESSION_SECONDS from `now` (seconds since the epoch)."""
        body = f"{int(now) + SESSION_SECONDS}.{secrets.token_hex(8)}"
        return f"{body}.{self._sign(body)}"

    def valid(self, token: str, now: float) -> bool:
        """Whether this process issued `token` and it has not expired."""
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._sign(body).encode()):
            return False
        return int(body.partition(".")[0]) > now

    def _sign(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()


class Guard:
    """ASGI middleware around everything: page, API, Gradio's routes, event streams, sockets."""

    def __init__(self, app: ASGIApp, access: Access, sessions: Sessions) -> None:
        self.app = app
        self.access = access
        self.sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        method = scope.get("method", "GET")
        refusal = judge(self.access, method, scope["path"], headers, self._signed_in(headers))
        if refusal is None:
            await self.app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.code})
        else:
            await _refuse(refusal, method, headers)(scope, receive, _with_headers(send))

    def _signed_in(self, headers: Headers) -> bool:
        token = cookie_parser(headers.get("cookie", "")).get(COOKIE)  # among other servers' cookies
        return token is not None and self.sessions.valid(token, time.time())


def _refuse(refusal: Refusal, method: str, headers: Headers) -> Response:
    """A person is sent to sign in; a program gets OpenAI's error envelope."""
    wants_page = method == "GET" and "text/html" in headers.get("accept", "")
    if refusal.status == 401 and wants_page:
        return RedirectResponse("/signin", status_code=303)
    body = {
        "error": {
            "message": refusal.message,
            "type": "authentication_error" if refusal.status == 401 else "permission_error",
            "param": None,
            "code": refusal.code,
        }
    }
    return JSONResponse(body, status_code=refusal.status)


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in RESPONSE_HEADERS.items():
                headers[name] = value
        await send(message)

    return send_with_headers


def _host_allowed(access: Access, name: str) -> bool:
    return name in access.hosts or (access.any_address and _address(name) is not None)


def _host_name(host: str) -> str | None:
    """The name in a Host header, lower case, without port and brackets; None if it is malformed."""
    match = _HOST.fullmatch(host)
    return match["name"].strip("[]").lower().rstrip(".") if match else None


def _same_origin(headers: Headers, host: str) -> bool:
    """Browsers send Origin with everything that changes something and with every web socket."""
    origins = headers.getlist("origin")
    if not origins:
        return True
    scheme, _, netloc = origins[0].partition("://")
    return len(origins) == 1 and scheme in {"http", "https"} and netloc.lower() == host.lower()


def _fetched_by_us(headers: Headers, method: str) -> bool:
    """Another site may link to the page, not load its parts (only browsers set Sec-Fetch-*)."""
    if headers.get("sec-fetch-site", "none") in {"none", "same-origin"}:
        return True
    return method == "GET" and headers.get("sec-fetch-mode") == "navigate"


def _bearer_matches(headers: Headers, secret: str) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    given = token.strip()
    sent = given.encode("latin-1").decode(errors="replace")  # UTF-8, from most programs
    return scheme.lower() == "bearer" and (same_secret(given, secret) or same_secret(sent, secret))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
