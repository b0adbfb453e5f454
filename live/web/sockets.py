"""The WebSockets: one for the page, two for programs."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING

from br2net.live.web.hub import TEXTS, Hub, Listener, Viewer
from br2net.live.web.state import State

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.websockets import WebSocket

STATE_S = 1.0
TRY_LATER = 1013


class Sockets:
    """Serves viewers and listeners, each by a task that sends and one that receives."""

    def __init__(self, hub: Hub, state: State, largest_viewers: int) -> None:
        self._hub, self._state, self._largest = hub, state, largest_viewers

    def routes(self) -> "list[BaseRoute]":
        """`/ws/view` for the page, `/ws/frames` and `/ws/events` for programs."""
        from starlette.routing import WebSocketRoute

        return [
            WebSocketRoute("/ws/view", self.view),
            WebSocketRoute("/ws/frames", self.frames),
            WebSocketRoute("/ws/events", self.events),
        ]

    async def view(self, socket: "WebSocket") -> None:
        """Frames as packets, and state, history and events as JSON. The page answers each frame with `shown`."""
        if not await self._admit(socket):
            return
        viewer = self._hub.join(socket.query_params.get("camera"))
        viewer.texts.append(self._state.history(viewer.channel))
        viewer.texts.append(self._state.events())
        viewer.wake.set()
        try:
            await _until_either_ends(self._send_to_page(socket, viewer), self._hear_page(socket, viewer))
        finally:
            self._hub.leave(viewer)

    async def frames(self, socket: "WebSocket") -> None:
        """The newest frame's record as JSON, as often as the program reads; in between, frames are left out."""
        await self._serve(socket, Listener("frames", deque(maxlen=1)))

    async def events(self, socket: "WebSocket") -> None:
        """Each event as JSON; at most 256 wait for a program that does not read."""
        await self._serve(socket, Listener("events", deque(maxlen=TEXTS)))

    async def _serve(self, socket: "WebSocket", listener: Listener) -> None:
        if not await self._admit(socket):
            return
        self._hub.listeners.add(listener)
        try:
            await _until_either_ends(_send_texts(socket, listener), _hear_out(socket))
        finally:
            self._hub.listeners.discard(listener)

    async def _admit(self, socket: "WebSocket") -> bool:
        await socket.accept()
        if len(self._hub.viewers) + len(self._hub.listeners) < self._largest:
            return True
        await socket.close(TRY_LATER, "There are too many viewers.")
        return False

    async def _send_to_page(self, socket: "WebSocket", viewer: Viewer) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(viewer.wake.wait(), STATE_S)
            viewer.state_due = viewer.state_due or not viewer.wake.is_set()
            viewer.wake.clear()
            while viewer.texts:
                await socket.send_text(viewer.texts.popleft())
            if viewer.state_due or asyncio.get_running_loop().time() - viewer.state_sent_s >= STATE_S:
                viewer.state_due = False
                viewer.state_sent_s = asyncio.get_running_loop().time()
                await socket.send_text(self._state.message(viewer.channel))
            packet = self._hub.taken(viewer)
            if packet is not None:
                await socket.send_bytes(packet)

    async def _hear_page(self, socket: "WebSocket", viewer: Viewer) -> None:
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
                viewer.texts.append(self._state.history(viewer.channel))
                viewer.state_due = True
                viewer.wake.set()


async def _send_texts(socket: "WebSocket", listener: Listener) -> None:
    while True:
        await listener.wake.wait()
        listener.wake.clear()
        while listener.texts:
            await socket.send_text(listener.texts.popleft())


async def _hear_out(socket: "WebSocket") -> None:
    async for _ in _texts(socket):
        pass


async def _texts(socket: "WebSocket") -> AsyncIterator[str]:
    """What the other side says, until it closes; of binary messages nothing."""
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
            if isinstance(outcome, Exception) and not _connection_gone(outcome):
                raise outcome


def _connection_gone(error: Exception) -> bool:
    from starlette.websockets import WebSocketDisconnect

    return isinstance(error, WebSocketDisconnect | OSError)
