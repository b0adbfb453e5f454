import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from br2net.cli.status import stopped_by_signals
from br2net.detector import Detector
from br2net.live.camera import Camera, CameraOptions, make_cameras
from tests.app.cli.conftest import Command
from tests.mjpeg_server import MjpegServer, encode

FRAMES = 6


@pytest.fixture
def video(tmp_path: Path, photograph: np.ndarray) -> Path:
    """Six frames of 128x96 that move over the photograph."""
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 20.0, (128, 96))
    for index in range(FRAMES):
        writer.write(np.ascontiguousarray(photograph[:96, index : index + 128]))
    writer.release()
    return path


def count_frames(path: Path) -> int:
    capture, count = cv2.VideoCapture(str(path)), 0
    while capture.grab():
        count += 1
    return count


def test_a_video_becomes_a_recording_lines_and_a_summary(
    br2net: Command, video: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    record, lines = tmp_path / "o.mp4", tmp_path / "o.jsonl"
    options = ["--region", "spot=0.2,0.2,0.5,0.5", "--smooth", "0.5", "--peaking", "--json"]
    ending = br2net("camera", video, "-m", tiny_onnx, "--record", record, "--jsonl", lines, *options)
    assert ending.code == 0 and ending.err == ""
    summary = json.loads(ending.out)
    assert summary["frames"] == FRAMES and summary["dropped"] == summary["reconnects"] == 0
    assert set(summary["latency"]) == {"p50_ms", "p95_ms", "p99_ms"}
    assert set(summary["stages"]) == {"capture_ms", "preprocess_ms", "inference_ms", "postprocess_ms"}
    assert summary["fps"] > 0.0
    items = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [item["frame"] for item in items] == list(range(FRAMES))
    assert {"timestamp", "blurred_fraction", "latency_ms", "alert"} <= set(items[0])
    assert set(items[0]["regions"]) == {"spot"}
    assert count_frames(record) == FRAMES


def test_the_lines_say_what_the_detector_says_of_the_same_frames(
    br2net: Command, video: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    br2net("camera", video, "-m", tiny_onnx, "--jsonl", tmp_path / "o.jsonl", "--precision", "fp32")
    fractions = [json.loads(line)["blurred_fraction"] for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    with Detector.load(tiny_onnx, precision="fp32") as detector, Camera(video) as camera:
        expected = [detector(item.frame).blurred_fraction for item in camera]
    assert fractions == pytest.approx(expected, abs=1e-4)


def test_several_sources_may_have_the_same_name(br2net: Command, video: Path, tiny_onnx: Path) -> None:
    ending = br2net("camera", video, video, "-m", tiny_onnx, "--json")
    cameras = json.loads(ending.out)["cameras"]
    assert {name: item["captured"] for name, item in cameras.items()} == {"video.avi": FRAMES, "video.avi #2": FRAMES}
    assert [item.name for item in make_cameras([str(video)] * 3, CameraOptions())][2] == "video.avi #3"


def test_the_summary_for_people_tells_frames_and_latency(br2net: Command, video: Path, tiny_onnx: Path) -> None:
    ending = br2net("camera", video, "-m", tiny_onnx, "--max-frames", "2", "--rotate", "90", "--size", "64x32")
    assert ending.code == 0
    assert ending.out.startswith("2 frames, ") and "latency" in ending.out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing.mp4"],
        ["0", "--size", "0x0"],
        ["0", "--rotate", "45"],
        ["0", "--region", "face"],
        ["0", "--smooth", "-1"],
        ["0", "--fourcc", "H264"],
        ["97"],
        ["rtsp://127.0.0.1:9/"],
    ],
)
def test_wrong_use_ends_with_2_and_one_sentence(br2net: Command, tiny_onnx: Path, arguments: list[str]) -> None:
    ending = br2net("camera", *arguments, "-m", tiny_onnx)
    assert ending.code == 2
    assert ending.err.startswith("br2net: ") and ending.err.count("\n") == 1


def test_a_recording_that_cannot_be_is_refused(br2net: Command, video: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    ending = br2net("camera", video, "-m", tiny_onnx, "--record", tmp_path / "x.gif")
    assert ending.code == 2 and "x.gif" in ending.err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--jsonl", "same", "--events", "same"), "same is named for two outputs"),
        (("--alert-images", "taken"), "taken is a file; name a folder."),
        (("--jsonl", "taken/x.jsonl"), "taken is a file, not a folder."),
    ],
)
def test_outputs_that_are_in_each_others_way_are_refused_at_the_start(
    br2net: Command,
    video: Path,
    tiny_onnx: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    reason: str,
) -> None:
    source = video.resolve()
    monkeypatch.chdir(tmp_path)
    Path("taken").write_text("mine", encoding="utf-8")
    ending = br2net("camera", source, "-m", tiny_onnx.resolve(), "--alert", "blurred > 0.5", *options)
    assert ending.code == 2 and reason in ending.err
    assert not Path("same").exists()


def test_a_source_is_not_written_over(br2net: Command, video: Path, tiny_onnx: Path, tmp_path: Path) -> None:
    before = video.rename(tmp_path / "video.mp4").read_bytes()
    source = tmp_path / "video.mp4"
    ending = br2net("camera", source, "-m", tiny_onnx, "--record", tmp_path / "." / "video.mp4")
    assert ending.code == 2 and "is a source" in ending.err
    assert source.read_bytes() == before


def test_a_full_disk_is_told_once_and_the_frames_go_on(br2net: Command, video: Path, tiny_onnx: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    ending = br2net("camera", video, "-m", tiny_onnx, "--jsonl", "/dev/full", "--json")
    assert ending.code == 0
    assert json.loads(ending.out)["frames"] == FRAMES
    assert ending.err.count("/dev/full") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_amid_writing_leaves_files_whole_and_playable(
    tmp_path: Path, tiny_onnx: Path, photograph: np.ndarray, number: signal.Signals
) -> None:
    record, lines = tmp_path / "o.mp4", tmp_path / "o.jsonl"
    with MjpegServer() as server:
        command = [sys.executable, "-c", "from br2net.cli import main; main()", "camera", server.url, "--drop", "wait"]
        options = ["-m", str(tiny_onnx), "--record", str(record), "--jsonl", str(lines), "--json"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        endless = threading.Event()

        def feed() -> None:
            while not endless.is_set():
                if server.parts.qsize() < 5:
                    server.send(encode(photograph))
                endless.wait(0.002)

        feeder = threading.Thread(target=feed)
        feeder.start()
        try:
            while not lines.exists() or lines.read_bytes().count(b"\n") < 5:
                assert process.poll() is None, process.communicate()
                endless.wait(0.01)
            process.send_signal(number)
            out, err = process.communicate(timeout=20)
        finally:
            endless.set()
            feeder.join()
            process.kill()
    assert (process.returncode, err) == (0, "")
    written = [json.loads(line) for line in lines.read_text().splitlines()]
    assert json.loads(out)["frames"] == len(written) >= 5
    assert count_frames(record) >= 1
    assert not list(tmp_path.glob(".o*"))


def test_a_second_signal_does_what_it_did_before() -> None:
    stopped: list[int] = []
    with pytest.raises(KeyboardInterrupt), stopped_by_signals(lambda: stopped.append(1)):
        signal.raise_signal(signal.SIGINT)
        assert stopped == [1]
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
