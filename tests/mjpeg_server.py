"""A camera that serves MJPEG on loopback, frame by frame as a test says, and that can die and come back."""

import base64
import queue
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
from numpy.typing import NDArray

PATIENCE_S = 20.0


def jpeg(width: int = 64, height: int = 48, level: int = 128) -> bytes:
    """A grey JPEG whose pixels have that level."""
    return encode(np.full((height, width, 3), level, np.uint8))


def encode(frame: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes())


class MjpegServer:
    """Serves at `url` what `send` is given; a client that connects later misses nothing."""

    def __init__(self, port: int = 0, tells_length: bool = True, password: str | None = None) -> None:
        self.parts: queue.Queue[bytes | None] = queue.Queue()
        self.connected = threading.Semaphore(0)
        self._clients: list[socket.socket] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = None if password is None else "Basic " + base64.b64encode(f"me:{password}".encode()).decode()
                if self.headers.get("Authorization") != wanted and wanted is not None:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                owner._clients.append(self.connection)
                owner.connected.release()
                with suppress(OSError):
                    while (part := owner.parts.get()) is not None:
                        length = f"Content-Length: {len(part)}\r\n" if tells_length else ""
                        head = f"--frame\r\nContent-Type: image/jpeg\r\n{length}\r\n".encode()
                        self.wfile.write(head + part + b"\r\n")
                    self.wfile.write(b"--frame--\r\n")

            def log_message(self, *arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments: object) -> None:
                pass

        self._server = Server(("127.0.0.1", port), Handler)
        self.port = int(self._server.server_address[1])
        self.url = f"http://127.0.0.1:{self.port}/video"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.parts.put(part)

    def wait_for_client(self) -> None:
        assert self.connected.acquire(timeout=PATIENCE_S), "no client came"

    def kill(self) -> None:
        """Drop every connection and stop listening, as a camera does that loses power."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for client in self._clients:
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.parts.put(None)

    def __enter__(self) -> "MjpegServer":
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
