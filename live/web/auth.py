"""Access to the page: names of the server, origins, the token; checked before any other code sees a request."""

import hashlib
import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from br2net.live.web.options import WebOptions

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
OPEN_PATHS = ("/healthz", "/login", "/live.css", "/icon.svg")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer the page's own form would send `Origin: null`
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Access:
    """Decides about requests by their headers alone.

    Without a token only this machine is served, and only under its local names: a web page that has its own name
    point here (DNS rebinding) is refused. With a token, every request has to bring it, as `Authorization: Bearer` or as
    the cookie that the login sets; the cookie holds a digest, not the token. A page of another origin gets no WebSocket
    and no POST.
    """

    def __init__(self, options: WebOptions) -> None:
        self._token = options.token.encode() if options.token is not None else None
        self._local_names = {*LOCAL_NAMES, options.host.lower()}

    def host_allowed(self, host: str) -> bool:
        """Tell whether the server may be called by this name (the `Host` header)."""
        if self._token is not None:
            return True
        try:
            name = urlsplit(f"//{host}").hostname
        except ValueError:
            return False
        return name is not None and name.lower() in self._local_names

    def origin_allowed(self, origin: str | None, host: str) -> bool:
        """Tell whether a page of `origin` may act here. Programs send none; browsers do for WebSockets and POST."""
        if origin is None:
            return True
        try:
            return hmac.compare_digest(urlsplit(origin).netloc.lower().encode(), host.lower().encode())
        except ValueError:
            return False

    def token_is(self, token: str) -> bool:
        """Compare with the token, in a time that does not show how much of it is right."""
        return self._token is not None and hmac.compare_digest(token.encode(errors="replace"), self._token)

    def cookie_value(self) -> str:
        """Return the cookie's content after the login: a digest of the token, valid for as long as the token is."""
        return hmac.new(self._token or b"", b"br2net page", hashlib.sha256).hexdigest()

    def cookie_name(self, host: str) -> str:
        """Return the cookie's name. Browsers share cookies among the ports of a machine, so it carries the port."""
        try:
            port = urlsplit(f"//{host}").port or 80
        except ValueError:
            port = 80
        return f"br2net_{port}"

    def admitted(self, headers: Headers) -> bool:
        """Tell whether these headers bring the token, or none is needed."""
        if self._token is None:
            return True
        scheme, _, value = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.token_is(value.strip())
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self.cookie_name(headers.get("host", "")))
        except (CookieError, ValueError):
            return False
        return morsel is not None and hmac.compare_digest(
            morsel.value.encode(errors="replace"), self.cookie_value().encode()
        )


class AuthMiddleware:
    """ASGI middleware: refuses what `Access` does not admit, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp, access: Access, login_page: str) -> None:
        self._app, self._access, self._login_page = app, access, login_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await (self._refusal(scope) or self._app)(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the answer to a request that is refused; None for one that may pass."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        acts = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
        if not self._access.host_allowed(host):
            return JSONResponse({"error": "This server does not go by that name."}, 403)
        if acts and not self._access.origin_allowed(headers.get("origin"), host):
            return JSONResponse({"error": "Pages of other origins may not act here."}, 403)
        if scope["path"] in OPEN_PATHS or self._access.admitted(headers):
            return None
        if scope["type"] == "http" and scope["path"] == "/":
            return HTMLResponse(self._login_page, 401)
        return JSONResponse({"error": "This needs the token."}, 401, {"WWW-Authenticate": "Bearer"})
