"""The backend that asks a server: answers, troubles on the way, and what it says of them."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from br2net.detector import Detector
from br2net.errors import BackendError, InputError, ModelError
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.triton import TritonAddress, TritonBackend, parse_address
from br2net.types import Batch, Frame

from ..frames import maps_of, network_input, noise_frames
from .conftest import Handler, Server


@pytest.fixture
def frames() -> list[Frame]:
    return noise_frames(5)


@pytest.fixture
def expected(tiny_onnx: Path, frames: list[Frame]) -> Batch:
    session = onnxruntime.InferenceSession(str(tiny_onnx), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": network_input(frames)})[0])


def test_maps_are_the_models_and_batches_are_what_the_server_takes(
    server: Server, frames: list[Frame], expected: Batch
) -> None:
    with TritonBackend(server.url, InferenceOptions()) as backend:
        np.testing.assert_allclose(maps_of(backend, frames), expected, atol=1e-6)
    assert server.batches == [2, 2, 1]


def test_a_detector_uses_a_server_as_any_backend(
    server: Server, tiny_onnx: Path, photograph: NDArray[np.uint8]
) -> None:
    with Detector.load(server.url) as remote, Detector.load(tiny_onnx, backend="onnxruntime") as local:
        assert (remote.backend.name, remote.metadata.name) == ("triton", "tiny")
        np.testing.assert_allclose(remote(photograph).map, local(photograph).map, atol=1e-5)


def busy(handler: Handler) -> None:
    handler.answer(503, b'{"error": "the queue is full"}')


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def die_in_the_middle(handler: Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b"{" * 100)
    hang_up(handler)


@pytest.mark.parametrize("trouble", [busy, hang_up, die_in_the_middle])
def test_what_fails_on_the_way_is_asked_again(
    server: Server, frames: list[Frame], expected: Batch, trouble: Callable[[Handler], None]
) -> None:
    with TritonBackend(server.url, InferenceOptions()) as backend:
        server.trouble += [trouble, trouble]
        np.testing.assert_allclose(maps_of(backend, frames), expected, atol=1e-6)


def test_an_answer_that_takes_too_long_is_asked_for_again(server: Server, frames: list[Frame], expected: Batch) -> None:
    with TritonBackend(f"{server.url}?timeout=0.3", InferenceOptions()) as backend:
        server.trouble.append(lambda handler: server.released.wait() and None)
        np.testing.assert_allclose(maps_of(backend, frames), expected, atol=1e-6)


def test_a_server_that_is_gone_is_waited_for_until_it_is_back(
    server: Server, tiny_onnx: Path, frames: list[Frame], expected: Batch
) -> None:
    with TritonBackend(server.url, InferenceOptions()) as backend:
        maps_of(backend, frames)
        port = server.server_port
        server.stop()
        backend._client._drop()  # what a dead process does to its connections
        results: list[Batch] = []
        waiting = threading.Thread(target=lambda: results.append(maps_of(backend, frames)))
        waiting.start()
        again = Server(tiny_onnx, port)
        waiting.join(timeout=20.0)
        again.stop()
    np.testing.assert_allclose(results[0], expected, atol=1e-6)


def test_a_server_that_stays_away_is_one_sentence(server: Server, frames: list[Frame]) -> None:
    with TritonBackend(f"{server.url}?wait=0.3", InferenceOptions()) as backend:
        server.trouble += [hang_up] * 100
        with pytest.raises(BackendError, match=r"did not answer \(.*\), asked \d+ times in 0\.3 s; is it running"):
            maps_of(backend, frames)
    with pytest.raises(BackendError, match="is closed"):
        maps_of(backend, frames)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda handler: handler.answer(400, b'{"error": "unexpected shape"}'), "refused a batch: unexpected shape"),
        (lambda handler: handler.answer(200, b"<html>"), "something else than blur"),
        (lambda handler: handler.send_maps(np.zeros((2, 1, 32, 64)), "FP64"), "something else than blur"),
        (lambda handler: handler.send_maps(np.zeros((2, 1, 16, 64), np.float32)), "maps of shape"),
    ],
    ids=["refusal", "no Triton", "another type", "another shape"],
)
def test_a_wrong_answer_is_an_error_and_never_a_map(
    server: Server, frames: list[Frame], answer: Callable[[Handler], None], said: str
) -> None:
    with TritonBackend(server.url, InferenceOptions()) as backend:
        server.trouble.append(answer)
        with pytest.raises(BackendError, match=said):
            maps_of(backend, frames[:2])


def test_a_model_that_is_not_there_or_not_ours_is_said(server: Server) -> None:
    with pytest.raises(ModelError, match="has no model other: unknown model"):
        Detector.load(server.url.replace("tiny", "other"))
    del server.config["parameters"]
    with pytest.raises(ModelError, match="is no br2net model; `br2net deploy triton` prepares one"):
        Detector.load(server.url)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cpu"}, "device is the Triton server's matter"),
        ({"precision": "fp16"}, "computes in fp32, not in fp16"),
        ({"size": (96, 64)}, "takes 64x32 alone"),
        ({"backend": "openvino"}, "must be auto or triton"),
    ],
)
def test_what_a_server_decides_cannot_be_asked_for(server: Server, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Detector.load(server.url, **options)  # type: ignore[arg-type]


def test_an_address_is_understood() -> None:
    assert parse_address("triton://gpu/mobile") == TritonAddress("gpu", 8000, "mobile")
    assert parse_address("triton://[::1]:1/m/3?wait=5&timeout=2") == TritonAddress("::1", 1, "m", "3", 2.0, 5.0)


@pytest.mark.parametrize(
    "url",
    [
        "triton://",
        "triton://host",
        "triton://host/a/b/c",
        "triton://host:x/m",
        "triton://h/m?wait=0",
        "triton://h/m?a=1",
    ],
)
def test_an_address_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no model on a Triton server"):
        parse_address(url)
