"""NVIDIA's Triton server on this machine, serving the repository that `deploy` writes."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from br2net.builder.comparison import packaged_photograph
from br2net.builder.triton.repository import ServingOptions, deploy
from br2net.builder.with_preprocessing import add_preprocessing
from br2net.detector import Detector
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.triton import TritonBackend
from br2net.types import Frame
from br2net.zoo import find_model

from ..frames import maps_of, network_input
from .real_server import RealServer, Unavailable, prepare

pytestmark = pytest.mark.slow
CLIENTS, BEFORE, AFTER = 4, 3, 3
NVIDIAS_CLIENT = """
import sys, numpy, tritonclient.grpc, tritonclient.http
kind, port, model, name, source, result = sys.argv[1:]
client = {"http": tritonclient.http, "grpc": tritonclient.grpc}[kind]
batch = numpy.load(source)
tensor = client.InferInput(name, list(batch.shape), {"float32": "FP32", "uint8": "UINT8"}[str(batch.dtype)])
tensor.set_data_from_numpy(batch)
answer = client.InferenceServerClient(f"127.0.0.1:{port}").infer(model, [tensor])
numpy.save(result, answer.as_numpy({"image": "blur", "frames": "map"}[name]))
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    folder = Path(__file__).resolve().parents[3] / "build" / "triton"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return prepare(folder)
    except Unavailable as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def server(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("triton")
    options = ServingOptions("python", largest_batch=4, gpu=False)
    deploy(find_model("mobile"), folder / "repository", options)
    add_preprocessing(find_model("mobile"), folder / "frames.onnx")
    deploy(folder / "frames.onnx", folder / "repository", options)
    made = RealServer(Path(__file__).resolve().parents[3] / "build" / "triton", environment, folder / "repository")
    try:
        made.start()
        yield made
    finally:
        made.kill()


@pytest.fixture(scope="module")
def local() -> Iterator[Detector]:
    with Detector.load("mobile", backend="onnxruntime") as detector:
        yield detector


def nvidias_client(
    server: RealServer, environment: Path, kind: str, model: str, name: str, batch: np.ndarray, folder: Path
) -> np.ndarray:
    np.save(folder / "batch.npy", batch)
    port = server.http_port if kind == "http" else server.grpc_port
    arguments = [kind, str(port), model, name, str(folder / "batch.npy"), str(folder / "maps.npy")]
    subprocess.run([environment / "bin" / "python", "-c", NVIDIAS_CLIENT, *arguments], check=True)
    return np.asarray(np.load(folder / "maps.npy"))


def test_a_detector_on_the_server_gives_the_maps_of_one_here(server: RealServer, local: Detector) -> None:
    frame = packaged_photograph()
    frames = [frame, frame[::2, ::2], frame[:300], frame[:, :200], frame[::3]]
    with Detector.load(server.url("mobile")) as remote:
        assert remote.metadata == local.metadata
        for one, other in zip(remote(frames), local(frames), strict=True):
            np.testing.assert_allclose(one.map, other.map, atol=1e-3)


@pytest.mark.parametrize("kind", ["http", "grpc"])
def test_nvidias_clients_get_the_same_maps(
    server: RealServer, environment: Path, local: Detector, kind: str, tmp_path: Path
) -> None:
    frame = packaged_photograph()
    frames = [frame[:384, :384], frame[-384:, -384:]]
    batch = network_input(frames, local.metadata.normalisation)
    maps = nvidias_client(server, environment, kind, "mobile", "image", batch, tmp_path)
    np.testing.assert_allclose(maps, maps_of(local.backend, frames), atol=1e-3)
    found = nvidias_client(server, environment, kind, "frames", "frames", frame[None], tmp_path)
    assert 255.0 * np.abs(found[0] - local(frame).map).max() <= 1.0


def test_a_server_that_is_killed_under_load_and_comes_back_gives_no_wrong_map(
    server: RealServer, local: Detector
) -> None:
    frame = packaged_photograph()
    batches = [[np.roll(frame, 80 * n, 1)] for n in range(CLIENTS)]
    expected = [maps_of(local.backend, frames) for frames in batches]
    enough, came_back = threading.Barrier(CLIENTS + 1, timeout=300.0), threading.Event()
    done: list[int] = [0] * CLIENTS
    wrong: list[float] = []

    def ask(number: int, frames: list[Frame]) -> None:
        with TritonBackend(f"{server.url('mobile')}?wait=200&timeout=20", InferenceOptions()) as backend:
            after = 0
            while after < AFTER:
                gap = float(np.abs(maps_of(backend, frames) - expected[number]).max())
                wrong.extend([gap] if not gap <= 1e-3 else [])
                done[number] += 1
                after += came_back.is_set()
                if done[number] == BEFORE:
                    enough.wait()

    threads = [threading.Thread(target=ask, args=item) for item in enumerate(batches)]
    for thread in threads:
        thread.start()
    enough.wait()
    server.kill()
    server.start()
    came_back.set()
    for thread in threads:
        thread.join(timeout=300.0)
    assert not wrong
    assert all(count >= BEFORE + AFTER for count in done)
