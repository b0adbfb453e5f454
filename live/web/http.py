"""What the server answers to plain requests."""

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from br2net.errors import Br2netError
from br2net.live.web.access import Access
from br2net.live.web.assets import Asset
from br2net.live.web.metrics import Metrics
from br2net.live.web.state import State

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

LARGEST_BODY = 4096
COOKIE_DAYS = 30


class Pages:
    """The page and its files, login, recording, health and metrics."""

    def __init__(self, assets: dict[str, Asset], access: Access, state: State, metrics: Metrics) -> None:
        self._assets, self._access, self._state, self._metrics = assets, access, state, metrics

    def routes(self) -> "list[BaseRoute]":
        """One route for each thing there is; anything else is not found."""
        from starlette.routing import Route

        files = [
            Route(f"/{name}", self._file(asset), methods=["GET"])
            for name, asset in self._assets.items()
            if not name.endswith(".html")
        ]
        return [
            Route("/", self.page, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/api/recording", self.recording, methods=["POST"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/metrics", self.figures, methods=["GET"]),
            *files,
        ]

    async def page(self, request: "Request") -> "Response":
        """The page."""
        asset = self._assets["live.html"]
        return _respond(asset.content, asset.media_type)

    async def login(self, request: "Request") -> "Response":
        """Take the token from a form, answer with the cookie."""
        from starlette.responses import HTMLResponse, RedirectResponse

        fields = parse_qs((await _body(request)).decode(errors="replace"))
        token = fields.get("token", [""])[0].strip()
        if not self._access.token_is(token):
            page = self._assets["login.html"].content.replace(b"<html", b'<html data-wrong="yes"', 1)
            return HTMLResponse(page, 401)
        host = request.headers.get("host", "")
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._access.cookie_name(host),
            self._access.cookie_value(),
            max_age=COOKIE_DAYS * 86400,
            httponly=True,
            samesite="lax",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return response

    async def recording(self, request: "Request") -> "Response":
        """Start or stop recording: `{"on": true}`."""
        from starlette.concurrency import run_in_threadpool
        from starlette.responses import JSONResponse

        try:
            wanted = json.loads(await _body(request))
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict) or not isinstance(wanted.get("on"), bool):
            return JSONResponse({"error": 'The body is {"on": true} or {"on": false}.'}, 400)
        if not self._state.can_record:
            return JSONResponse({"error": "There is no recorder; start with --recordings DIR."}, 409)
        try:
            await run_in_threadpool(self._state.record, wanted["on"])
        except Br2netError as error:
            return JSONResponse({"error": str(error)}, 507)
        return JSONResponse({"on": wanted["on"]})

    async def health(self, request: "Request") -> "Response":
        """200 while frames arrive, otherwise 503. Those without the token are told no more than that."""
        from starlette.responses import JSONResponse

        status, cameras = self._state.overall()
        headers = request.headers
        known = self._access.admitted(
            headers.get("authorization", ""), headers.get("cookie", ""), headers.get("host", "")
        )
        answer = {"status": status, "cameras": cameras} if known else {"status": status}
        return JSONResponse(answer, 200 if status == "ok" else 503)

    async def figures(self, request: "Request") -> "Response":
        """The metrics."""
        return _respond(self._metrics.text(), "text/plain; version=0.0.4; charset=utf-8")

    def _file(self, asset: Asset) -> "Callable[[Request], Awaitable[Response]]":
        async def answer(request: "Request") -> "Response":
            return _respond(asset.content, asset.media_type)

        return answer


def _respond(content: bytes, media_type: str) -> "Response":
    from starlette.responses import Response

    return Response(content, headers={"Content-Type": media_type})


async def _body(request: "Request") -> bytes:
    """The body, if it is of a sensible size; otherwise nothing."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            return b""
    return body
