"""The chat page: one HTML file, one script, one style sheet, nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

HERE = Path(__file__).parent
FILES = {
    "/": ("index.html", "text/html"),
    "/page/chat.js": ("chat.js", "text/javascript"),
    "/page/render.js": ("render.js", "text/javascript"),
    "/page/chat.css": ("chat.css", "text/css"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
}
# Only this server's own script, style and media: whatever a user types cannot load or run anything.
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"  # noqa: E501


async def _serve(request: Request) -> Response:
    name, kind = FILES[request.url.path]
    headers = {"content-security-policy": POLICY, "cache-control": "no-cache"}
    return FileResponse(HERE / name, media_type=kind, headers=headers)


def routes() -> list[Route]:
    """Where the page and its parts are."""
    return [Route(path, _serve) for path in FILES]
