"""Routes of the server: the page and its files, login, recording, health, metrics, and the page's WebSocket."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.resources import files
from urllib.parse import parse_qs

from jinja2 import Template
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from br2net.errors import Br2netError
from br2net.live.web.auth import Access
from br2net.live.web.hub import Hub, Viewer
from br2net.live.web.metrics import Metrics
from br2net.live.web.state import State

STATIC = files("br2net.live.web") / "static"
MEDIA_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
FILES = {
    "/": "live.html",
    **{f"/{name}": name for name in ("live.css", "live.js", "overlay.js", "chart.js", "icon.svg")},
    **{f"/{name}": f"vendor/{name}" for name in ("uPlot.iife.min.js", "uPlot.min.css")},
}
LARGEST_BODY = 4096
COOKIE_DAYS = 30
STATE_S = 1.0
TRY_LATER = 1013


def login_page(*, wrong: bool) -> str:
    """Return the login as HTML; `wrong` after a token that is not the right one."""
    text = (STATIC / "login.html").read_text(encoding="utf-8")
    return str(Template(text, autoescape=True).render(wrong=wrong))


class Routes:
    """Answers requests and serves viewers. All files are read here: no path of an address becomes one of a file."""

    def __init__(self, access: Access, hub: Hub, state: State, metrics: Metrics, largest_viewers: int) -> None:
        self._access, self._hub, self._state, self._metrics = access, hub, state, metrics
        self._largest = largest_viewers
        self._wrong_token = login_page(wrong=True)

    def routes(self) -> list[BaseRoute]:
        """Return one route for each thing there is; anything else is not found."""
        return [
            *(Route(path, _file(name), methods=["GET"]) for path, name in FILES.items()),
            Route("/login", self.login, methods=["POST"]),
            Route("/api/recording", self.recording, methods=["POST"]),
            Route("/healthz", self.health, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            WebSocketRoute("/ws/view", self.view),
        ]

    async def login(self, request: Request) -> Response:
        """Take the token from a form, answer with the cookie."""
        fields = parse_qs((await _body(request)).decode(errors="replace"))
        if not self._access.token_is(fields.get("token", [""])[0].strip()):
            return HTMLResponse(self._wrong_token, 401)
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._access.cookie_name(request.headers.get("host", "")),
            self._access.cookie_value(),
            max_age=COOKIE_DAYS * 86400,
            httponly=True,
            samesite="lax",
            secure=request.headers.get("x-forwarded-proto") == "https",
        )
        return response

    async def recording(self, request: Request) -> Response:
        """Start or stop recording: `{"on": true}`."""
        try:
            wanted = json.loads(await _body(request))
        except ValueError:
            wanted = None
        if not isinstance(wanted, dict) or not isinstance(wanted.get("on"), bool):
            return JSONResponse({"error": 'The body must be {"on": true} or {"on": false}.'}, 400)
        if not self._state.can_record:
            return JSONResponse({"error": "There is no recorder; start with --recordings DIR."}, 409)
        try:
            await run_in_threadpool(self._state.record, wanted["on"])
        except Br2netError as error:
            return JSONResponse({"error": str(error)}, 507)
        return JSONResponse({"on": wanted["on"]})

    async def health(self, request: Request) -> Response:
        """Answer 200 while frames arrive, otherwise 503. Without the token the answer holds no more than that."""
        status, cameras = self._state.overall()
        known = self._access.admitted(request.headers)
        answer = {"status": status, "cameras": cameras} if known else {"status": status}
        return JSONResponse(answer, 200 if status == "ok" else 503)

    async def metrics(self, request: Request) -> Response:
        """Answer with the metrics."""
        return Response(self._metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def view(self, socket: WebSocket) -> None:
        """Send frames as packets, and state, history and events as JSON. The page answers each frame with `shown`."""
        await socket.accept()
        if len(self._hub.viewers) >= self._largest:
            await socket.close(TRY_LATER, "There are too many viewers.")
            return
        viewer = self._hub.join(socket.query_params.get("camera"))
        viewer.texts.extend((self._state.history(viewer.feed), self._state.events()))
        viewer.wake.set()
        try:
            await _until_either_ends(self._send(socket, viewer), self._receive(socket, viewer))
        finally:
            self._hub.viewers.discard(viewer)

    async def _send(self, socket: WebSocket, viewer: Viewer) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(viewer.wake.wait(), STATE_S)
            viewer.state_due = viewer.state_due or not viewer.wake.is_set()
            viewer.wake.clear()
            while viewer.texts:
                await socket.send_text(viewer.texts.popleft())
            if viewer.state_due or clock() - viewer.state_sent_s >= STATE_S:
                viewer.state_due = False
                viewer.state_sent_s = clock()
                await socket.send_text(self._state.message(viewer.feed))
            packet = self._hub.taken(viewer)
            if packet is not None:
                await socket.send_bytes(packet)

    async def _receive(self, socket: WebSocket, viewer: Viewer) -> None:
        async for text in _texts(socket):
            if text == "shown":
                self._hub.answered(viewer)
                continue
            try:
                message = json.loads(text)
            except ValueError:
                continue
            if isinstance(message, dict) and isinstance(message.get("camera"), str):
                self._hub.watch(viewer, message["camera"])
                viewer.texts.append(self._state.history(viewer.feed))
                viewer.state_due = True
                viewer.wake.set()


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    content = STATIC.joinpath(*name.split("/")).read_bytes()
    media_type = MEDIA_TYPES[name.rpartition(".")[2]]

    async def answer(request: Request) -> Response:
        return Response(content, headers={"Content-Type": media_type})

    return answer


async def _body(request: Request) -> bytes:
    """Return the body if it has a sensible size; otherwise nothing."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_BODY:
            return b""
    return body


async def _texts(socket: WebSocket) -> AsyncIterator[str]:
    """Give the messages of the other side until it closes; an empty text for a binary message."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        yield message.get("text") or ""


async def _until_either_ends(first: Awaitable[None], second: Awaitable[None]) -> None:
    """Run both until one of them ends, then end the other. A connection that is gone is no error."""
    tasks = [asyncio.ensure_future(first), asyncio.ensure_future(second)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, WebSocketDisconnect | OSError):
                raise outcome
