import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner
from websockets.sync.client import connect

from br2net.cli.camera import PortAfterWeb
from tests.app.cli.conftest import Command
from tests.mjpeg_server import MjpegServer, encode

TOKEN = "correct-horse-battery"


@pytest.fixture
def video(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Ten frames of 128x96: five of a photograph, five of grey."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (128, 96))
    for index in range(10):
        writer.write(np.ascontiguousarray(photograph[:96, :128]) if index < 5 else np.full((96, 128, 3), 90, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["0"], (["0"], None)),
        (["0", "--web"], (["0"], 8080)),
        (["--web", "0"], (["0"], 8080)),
        (["--web", "9000", "0"], (["0"], 9000)),
        (["0", "--web=9000"], (["0"], 9000)),
        (["0", "--web", "--loud"], (["0"], 8080)),
        (["--web", "video.mp4"], (["video.mp4"], 8080)),
        (["--web", "--", "0"], (["0"], 8080)),
        (["--", "--web", "80"], (["--web", "80"], None)),
    ],
)
def test_web_may_stand_alone_or_name_a_port(arguments: list[str], expected: tuple[list[str], int | None]) -> None:
    seen: list[tuple[list[str], int | None]] = []
    app = typer.Typer()

    @app.command(cls=PortAfterWeb)
    def camera(sources: list[str], web: int | None = typer.Option(None), loud: bool = False) -> None:
        seen.append((sources, web))

    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert seen == [expected]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--alert", "blurred >> 1"], "cannot be read"),
        (["--alert", "blurred[door] > 0.5"], "'door'"),
        (["--webhook", "http://127.0.0.1/"], "webhook needs an alert"),
        (["--mqtt", "mqtt://127.0.0.1"], "mqtt needs an alert"),
        (["--events", "e.jsonl"], "events needs an alert"),
        (["--alert", "blurred > 0.5", "--webhook", "nowhere"], "The address of a webhook must"),
        (["--alert", "blurred > 0.5", "--mqtt", "nowhere"], "The address of a broker must"),
        (["--host", "0.0.0.0"], "--web"),
        (["--web", "8090", "--host", "0.0.0.0"], "needs a token"),
        (["--web", "8090", "--host", "0.0.0.0", "--token", "1234"], "must have 16 characters"),
        (["--web", "99999"], "between 0 and 65535, got 99999"),
        (["--web", "8090", "--host", "no.such.host.invalid"], "must be an address of this machine"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence_before_a_model_is_loaded(
    br2net: Command, video: Path, arguments: list[str], says: str
) -> None:
    ending = br2net("camera", video, "-m", "no-such-model", *arguments)
    assert ending.code == 2
    assert says in ending.err
    assert ending.err.startswith("br2net: ")
    assert ending.err.count("\n") == 1


@contextlib.contextmanager
def receiver() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Address of a web server, and what is posted to it."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", bodies
    finally:
        server.shutdown()
        server.server_close()


def test_alerts_reach_file_webhook_lines_and_pictures(
    br2net: Command, video: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    events, lines, pictures = tmp_path / "events.jsonl", tmp_path / "lines.jsonl", tmp_path / "pictures"
    rule = "sharpness[middle] > 0.1 for 100ms"
    options = ["--region", "middle=0.2,0.2,0.6,0.6", "--alert", rule, "--events", events, "--alert-images", pictures]
    with receiver() as (address, bodies):
        ending = br2net("camera", video, "-m", tiny_onnx, *options, "--jsonl", lines, "--webhook", address)
    assert (ending.code, ending.err) == (0, "")
    written = [json.loads(line) for line in events.read_text().splitlines()]
    assert [(item["alert"], item["state"]) for item in written] == [(rule, "on"), (rule, "off")]
    assert written[1]["frame"] == 5  # the first grey one
    assert bodies == written
    on = [json.loads(line)["alert"] for line in lines.read_text().splitlines()]
    assert on[written[0]["frame"] : 5] == [rule] * (5 - written[0]["frame"])
    assert on[5:] == [None] * 5
    assert len(list(pictures.iterdir())) == 1


def test_what_goes_wrong_outside_is_told_while_the_frames_go_on(br2net: Command, video: Path, tiny_onnx: Path) -> None:
    with receiver() as (address, _):
        pass  # nobody listens there any more
    rule = ["--alert", "sharpness > 0.1", "--webhook", address]
    ending = br2net("camera", video, "-m", tiny_onnx, *rule, "--json")
    assert ending.code == 0
    assert json.loads(ending.out)["frames"] == 10
    assert ending.err.startswith("br2net: webhook: ")


def ask(port: int, path: str, method: str = "GET", body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {TOKEN}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def wait_for(condition: Any) -> Any:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if value := condition():
                return value
        time.sleep(0.02)
    raise AssertionError("it never happened")


def test_a_live_camera_can_be_watched_measured_and_recorded_until_a_signal(
    tiny_onnx: Path, photograph: np.ndarray, tmp_path: Path
) -> None:
    with MjpegServer() as server:
        command = [sys.executable, "-c", "from br2net.cli import main; main()", "camera", server.url, "--json"]
        options = ["-m", str(tiny_onnx), "--web=0", "--recordings", str(tmp_path / "clips")]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "BR2NET_TOKEN": TOKEN}
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        ended = threading.Event()

        def feed() -> None:
            while not ended.wait(0.01):
                if server.parts.qsize() < 3:
                    server.send(encode(photograph))

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            assert process.stderr is not None
            found = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stderr.readline())
            assert found is not None
            port = int(found[1])
            wait_for(lambda: ask(port, "/healthz")[0] == 200)
            login = {"Authorization": f"Bearer {TOKEN}"}
            with connect(f"ws://127.0.0.1:{port}/ws/view", additional_headers=login) as viewer:
                assert any(isinstance(viewer.recv(timeout=30), bytes) for _ in range(10))  # a frame
            assert ask(port, "/api/recording", "POST", '{"on": true}')[0] == 200
            first = frames_of(port)
            wait_for(lambda: frames_of(port) >= first + 10)
            assert ask(port, "/api/recording", "POST", '{"on": false}')[0] == 200
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
        finally:
            ended.set()
            feeder.join()
            process.kill()
    assert process.returncode == 0
    assert json.loads(out)["frames"] >= first + 10
    (clip,) = (tmp_path / "clips").iterdir()
    capture = cv2.VideoCapture(str(clip))
    assert capture.read()[0]


def frames_of(port: int) -> float:
    text = ask(port, "/metrics")[1].decode()
    families = {family.name: family for family in text_string_to_metric_families(text)}
    return float(sum(s.value for s in families["br2net_frames"].samples if s.name == "br2net_frames_total"))
