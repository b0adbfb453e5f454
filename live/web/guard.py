"""The door: every request passes here before anything else looks at it."""

from typing import TYPE_CHECKING

from br2net.live.web.access import Access

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = ("/healthz", "/login", "/live.css", "/icon.svg")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer a form of our own would say `Origin: null`
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware: refuses what `Access` does not admit, and puts the security headers on every answer."""

    def __init__(self, app: "ASGIApp", access: Access, login_page: bytes) -> None:
        self._app, self._access, self._login_page = app, access, login_page

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        from starlette.datastructures import Headers, MutableHeaders
        from starlette.types import Message

        headers = Headers(scope=scope)
        host = headers.get("host", "")

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        acts = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if not self._access.host_allowed(host):
            await self._refuse(scope, receive, send_guarded, 403, "This server does not go by that name.")
        elif acts and not self._access.origin_allowed(headers.get("origin"), host):
            await self._refuse(scope, receive, send_guarded, 403, "Pages of other origins may not act here.")
        elif scope["path"] not in OPEN_PATHS and not self._access.admitted(
            headers.get("authorization", ""), headers.get("cookie", ""), host
        ):
            await self._refuse(scope, receive, send_guarded, 401, "This needs the token.")
        else:
            await self._app(scope, receive, send_guarded)

    async def _refuse(self, scope: "Scope", receive: "Receive", send: "Send", status: int, text: str) -> None:
        from starlette.responses import HTMLResponse, JSONResponse, Response

        response: Response
        if status == 401 and scope["type"] == "http" and scope["path"] == "/":
            response = HTMLResponse(self._login_page, status)
        else:
            bearer = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            response = JSONResponse({"error": text}, status, bearer)
        await response(scope, receive, send)
