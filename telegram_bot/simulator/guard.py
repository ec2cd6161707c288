"""Keeps other web pages out: the stand-in answers this machine's own programs and its own page only."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
SAFE_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
]


def hostname(host: str) -> str:
    """The name in a Host header, without the port; "" for nonsense."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def refusal(headers: Headers, path: str) -> str:
    """Why a request is turned away, "" if it is not."""
    host = headers.get("host", "")
    if hostname(host) not in LOOPBACK:
        # A foreign name that was made to point here (DNS rebinding).
        return "this host name is not served"
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return "other origins may not call this"
    # A link to the page is fine; what another site loads or posts in the background is not.
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and path != "/":
        return "other sites may not call this"
    return ""


class Guard:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with safe headers on the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        reason = refusal(Headers(scope=scope), scope["path"])
        if reason:
            await PlainTextResponse(reason, 403)(scope, receive, send)
            return

        async def with_headers(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                given = message.get("headers") or []
                assert isinstance(given, list)
                message["headers"] = [*given, *SAFE_HEADERS]
            await send(message)

        await self.app(scope, receive, with_headers)  # type: ignore[arg-type]
