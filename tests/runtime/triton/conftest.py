"""A server that speaks the protocol by the standard library, computes with ONNX Runtime, and misbehaves when told to."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from br2net.runtime.metadata import IMAGENET, ModelMetadata

LENGTH = "Inference-Header-Content-Length"
METADATA = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET).to_json()


class Server(ThreadingHTTPServer):
    """One model; `trouble` holds what the next answers do instead of answering well."""

    daemon_threads = True

    def __init__(self, model: Path, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
        self.config: dict[str, Any] = {
            "max_batch_size": 2,
            "input": [{"name": "image", "dims": ["3", "32", "64"]}],
            "parameters": {"br2net": {"string_value": METADATA}},
        }
        self.trouble: list[Callable[[Handler], None]] = []
        self.batches: list[int] = []
        self.released = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Of its model."""
        return f"triton://127.0.0.1:{self.server_port}/tiny"

    def stop(self) -> None:
        """Close the port; requests are refused from now on."""
        self.released.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path != "/v2/models/tiny/config":
            self.answer(400, b'{"error": "unknown model"}')
            return
        self.answer(200, json.dumps(self.server.config).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.trouble:
            self.server.trouble.pop(0)(self)
            return
        header = json.loads(body[: int(self.headers[LENGTH])])
        batch = np.frombuffer(body[int(self.headers[LENGTH]) :], "<f4").reshape(header["inputs"][0]["shape"])
        self.server.batches.append(len(batch))
        self.send_maps(self.server.session.run(None, {"image": batch})[0])

    def send_maps(self, maps: Any, kind: str = "FP32") -> None:
        """An answer as Triton gives it."""
        output = {"name": "blur", "datatype": kind, "shape": list(maps.shape)}
        header = json.dumps({"outputs": [output]}).encode()
        self.answer(200, header + maps.tobytes(), {LENGTH: str(len(header))})

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(tiny_onnx: Path) -> Iterator[Server]:
    """Such a server, running."""
    made = Server(tiny_onnx)
    yield made
    made.stop()
