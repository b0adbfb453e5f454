"""The server's HTTP protocol (KServe's version 2, with binary tensors), as far as one model of this package needs it."""

import http.client
import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from br2net.errors import BackendError, ModelError
from br2net.runtime.triton.address import TritonAddress

CONNECT_SECONDS = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
BUSY = (429, 502, 503, 504)  # a server that starts, stops or has a full queue
HEADER_LENGTH = "Inference-Header-Content-Length"
STARTING = "is not ready", "unavailable", "not found, or"


@dataclass(frozen=True)
class Answer:
    """What the server said to one request."""

    status: int
    body: bytes
    header_length: int | None

    def text(self) -> str:
        """The server's own sentence, where it said one."""
        try:
            return str(json.loads(self.body)["error"])
        except (ValueError, KeyError, TypeError):
            return self.body[:200].decode(errors="replace").strip() or f"status {self.status}"


class Client:
    """Requests to one server; each thread has a connection of its own. What fails on the way is asked again for a while.

    Computing a map twice does no harm, so a request may be sent again whatever became of it.
    """

    def __init__(self, address: TritonAddress) -> None:
        self._address = address
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._closed = False

    def config(self) -> dict[str, Any]:
        """The model's configuration.

        Raises:
            BackendError: if the server does not answer.
            ModelError: if it has no such model.
        """
        answer = self._ask("GET", f"{self._address.path}/config", b"", {})
        if answer.status != http.client.OK:
            raise ModelError(f"The Triton server {self._address.server} has no model {self._name()}: {answer.text()}.")
        config: dict[str, Any] = json.loads(answer.body)
        return config

    def infer(self, batch: NDArray[np.float32], entry: str, exit_: str) -> NDArray[np.float32]:
        """Compute one tensor from one tensor, both float32.

        Raises:
            BackendError: if the server refuses, does not answer, or answers with something else.
        """
        data = np.ascontiguousarray(batch, dtype="<f4").tobytes()
        size = {"binary_data_size": len(data)}
        header = json.dumps(
            {
                "inputs": [{"name": entry, "shape": list(batch.shape), "datatype": "FP32", "parameters": size}],
                "outputs": [{"name": exit_, "parameters": {"binary_data": True}}],
            }
        ).encode()
        headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(header))}
        answer = self._ask("POST", f"{self._address.path}/infer", header + data, headers)
        if answer.status != http.client.OK:
            raise BackendError(f"The Triton server {self._address.server} refused a batch: {answer.text()}.")
        return self._decode(answer, exit_)

    def close(self) -> None:
        """Close all connections."""
        self._closed = True
        with self._lock:
            for connection in self._opened:
                connection.close()
            self._opened.clear()

    def _decode(self, answer: Answer, name: str) -> NDArray[np.float32]:
        try:
            length = len(answer.body) if answer.header_length is None else answer.header_length
            (output,) = json.loads(answer.body[:length])["outputs"]
            if output["name"] != name or output["datatype"] != "FP32":
                raise ValueError(f"{output['name']} of {output['datatype']}")
            return np.frombuffer(answer.body[length:], "<f4").reshape(output["shape"]).astype(np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(
                f"The Triton server {self._address.server} answered with something else than {name}: {error}."
            ) from error

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """One request, sent again with growing pauses while the server is gone or busy, for `wait_s` at most."""
        if self._closed:
            raise BackendError("The model is closed; load it again.")
        deadline = time.monotonic() + self._address.wait_s
        pause, tries = FIRST_PAUSE_S, 0
        while True:
            tries += 1
            try:
                answer = self._send(method, path, body, headers)
                if answer.status not in BUSY and not _is_starting(answer):
                    return answer
                reason = answer.text()
            except (OSError, http.client.HTTPException) as error:
                self._drop()
                reason = str(error) or type(error).__name__
            if self._closed or time.monotonic() + pause > deadline:
                raise BackendError(
                    f"The Triton server {self._address.server} did not answer ({reason}), asked {tries} times in "
                    f"{self._address.wait_s:g} s; is it running, with {self._name()} loaded?"
                )
            time.sleep(pause)
            pause = min(2.0 * pause, LONGEST_PAUSE_S)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = self._connection()
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        length = response.getheader(HEADER_LENGTH)
        return Answer(response.status, response.read(), int(length) if length else None)

    def _connection(self) -> http.client.HTTPConnection:
        """This thread's connection. Connecting has a shorter time-out than an answer."""
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._address.host, self._address.port, timeout=CONNECT_SECONDS)
            connection.connect()
            connection.sock.settimeout(self._address.timeout_s)
            self._local.connection = connection
            with self._lock:
                self._opened.append(connection)
        return connection

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None
            with self._lock:
                self._opened = [item for item in self._opened if item is not connection]

    def _name(self) -> str:
        return f"{self._address.model} {self._address.version}".strip()


def _is_starting(answer: Answer) -> bool:
    """Whether this is how a server answers that has not loaded its models yet, or unloads them."""
    return answer.status == http.client.BAD_REQUEST and any(words in answer.text() for words in STARTING[:2])
