"""Bulk runs on this machine: rows, resumption, videos, Parquet, other file systems."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from br2net.bulk import BulkOptions, ModelChoice, run_bulk
from br2net.bulk import output as output_module
from br2net.bulk import worker as worker_module
from br2net.bulk.row import Result, grid_of
from br2net.bulk.sources import Chunk
from br2net.bulk.worker import Worker
from br2net.detector import Detector
from br2net.errors import BackendError, InputError

from .conftest import rows_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_row_says_what_the_detector_and_the_file_say(pictures: Path, choice: ModelChoice, out: Path) -> None:
    summary = run_bulk([str(pictures)], str(out), choice, BulkOptions(grid=4))
    rows = rows_of(out)
    assert (summary.images, summary.errors, len(rows)) == (5, 0, 5)
    with Detector.load(choice.model, precision="fp32", threads=1) as detector:
        for row in rows:
            data = Path(row["image"]).read_bytes()
            blur = detector(np.asarray(cv2.imread(row["image"]), dtype=np.uint8)).map
            height, width = blur.shape
            assert (row["sha256"], row["size_bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
            assert (row["height"], row["width"]) == (height, width)
            assert row["blurred_fraction"] == pytest.approx((blur >= 0.5).mean(), abs=1e-3)
            cells = 1.0 - blur.reshape(4, height // 4, 4, width // 4).mean((1, 3))
            np.testing.assert_allclose(row["sharpness"], cells.ravel(), atol=1e-4)
            assert row["model"].startswith("tiny fp32 64x32")
            assert row["error"] is row["index"] is row["map"] is None


def test_a_grid_counts_split_pixels_in_part() -> None:
    blur = np.array([[0.0, 0.5, 1.0]], np.float32).repeat(2, 0)
    assert grid_of(blur, 2) == pytest.approx([5 / 6, 1 / 6] * 2)


def test_a_broken_image_is_a_row_with_an_error(pictures: Path, choice: ModelChoice, out: Path) -> None:
    whole = (pictures / "0.png").read_bytes()
    (pictures / "cut.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "empty.jpg").touch()
    summary = run_bulk([str(pictures)], str(out), choice)
    errors = {Path(row["image"]).name: row["error"] for row in rows_of(out) if row["error"]}
    assert (summary.images, summary.errors) == (7, 2)
    assert errors["cut.png"] == f"{pictures / 'cut.png'} is cut short: the end of the PNG is missing."
    assert errors["empty.jpg"] == f"{pictures / 'empty.jpg'} is empty."


def test_what_is_done_is_not_done_again_and_what_is_new_is(
    pictures: Path, choice: ModelChoice, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_bulk([str(pictures)], str(out), choice)
    (pictures / "new.png").write_bytes((pictures / "0.png").read_bytes())
    asked: list[str] = []
    run = Worker.run

    def watched(self: Worker, chunks: Iterable[Chunk]) -> Iterator[Result]:
        listed = list(chunks)
        asked.extend(url for chunk in listed for url in chunk.urls)
        return run(self, listed)

    monkeypatch.setattr(Worker, "run", watched)
    summary = run_bulk([str(pictures)], str(out), choice)
    assert asked == [str(pictures / "new.png")]
    assert (summary.images, summary.done_before) == (1, 5)
    assert len(rows_of(out)) == 6


def test_a_run_that_is_stopped_keeps_its_rows_and_goes_on(
    pictures: Path, choice: ModelChoice, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BATCH", 2)

    def stop(done: int, total: int | None) -> None:
        assert (done, total) == (2, 5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_bulk([str(pictures)], str(out), choice, progress=stop)
    assert len(rows_of(out)) == 2
    assert run_bulk([str(pictures)], str(out), choice).images == 3
    assert len({row["image"] for row in rows_of(out)}) == len(rows_of(out)) == 5


def test_rows_are_on_disk_before_the_end(
    pictures: Path, choice: ModelChoice, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "BATCH", 2)
    monkeypatch.setattr(output_module, "PART_ROWS", 2)
    seen: list[int] = []
    run_bulk([str(pictures)], str(out), choice, progress=lambda *_: seen.append(len(rows_of(out))))
    assert seen == [2, 4, 4]


def test_a_failing_model_stops_the_run_and_marks_no_image(
    pictures: Path, choice: ModelChoice, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise BackendError("The device is gone.")

    monkeypatch.setattr(Detector, "__call__", fail)
    with pytest.raises(BackendError):
        run_bulk([str(pictures)], str(out), choice)
    assert not (out / "rows").exists()


def test_errors_are_tried_again_when_asked(pictures: Path, choice: ModelChoice, out: Path) -> None:
    whole = (pictures / "0.png").read_bytes()
    (pictures / "0.png").write_bytes(whole[:50])
    run_bulk([str(pictures)], str(out), choice)
    (pictures / "0.png").write_bytes(whole)
    assert run_bulk([str(pictures)], str(out), choice).images == 0
    summary = run_bulk([str(pictures)], str(out), choice, BulkOptions(retry_errors=True))
    assert (summary.images, summary.errors) == (1, 0)
    rows = rows_of(out)
    assert len(rows) == 5 and not any(row["error"] for row in rows)


def test_results_of_other_settings_are_not_mixed(pictures: Path, choice: ModelChoice, out: Path) -> None:
    run_bulk([str(pictures)], str(out), choice)
    with pytest.raises(InputError, match="holds results with grid 8, and this run has 4"):
        run_bulk([str(pictures)], str(out), choice, BulkOptions(grid=4))
    with pytest.raises(InputError, match="holds results with model tiny fp32 64x32"):
        run_bulk([str(pictures)], str(out), replace(choice, size=(96, 64)))


def test_maps_are_the_detectors_at_the_images_size(pictures: Path, choice: ModelChoice, out: Path) -> None:
    run_bulk([str(pictures)], str(out), choice, BulkOptions(maps=True))
    rows = rows_of(out)
    assert len({row["map"] for row in rows}) == 5
    with Detector.load(choice.model, precision="fp32", threads=1) as detector:
        for row in rows:
            grey = np.asarray(cv2.imread(str(out / row["map"]), cv2.IMREAD_UNCHANGED))
            np.testing.assert_allclose(grey, detector(row["image"]).map * 255.0, atol=0.51)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Twelve grey frames of rising brightness, four a second."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 4.0, (64, 48))
    for number in range(12):
        writer.write(np.full((48, 64, 3), 20 * number, np.uint8))
    writer.release()
    return path


@pytest.mark.parametrize(("every", "expected"), [(0.0, list(range(12))), (1.0, [0, 4, 8]), (0.5, [0, 2, 4, 6, 8, 10])])
def test_a_video_gives_rows_of_frames_so_far_apart(
    video: Path, choice: ModelChoice, out: Path, every: float, expected: list[int]
) -> None:
    run_bulk([str(video)], str(out), choice, BulkOptions(every_seconds=every))
    rows = rows_of(out)
    assert [row["index"] for row in rows] == expected
    assert [row["seconds"] for row in rows] == [number / 4 for number in expected]
    assert len({row["sha256"] for row in rows}) == len(expected)
    assert run_bulk([str(video)], str(out), choice, BulkOptions(every_seconds=every)).images == 0


def test_a_broken_video_is_a_row_with_an_error(choice: ModelChoice, tmp_path: Path, out: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no video" * 100)
    run_bulk([str(tmp_path / "broken.mp4")], str(out), choice)
    (row,) = rows_of(out)
    assert row["error"] == f"{tmp_path / 'broken.mp4'} is damaged, or not a video that OpenCV can read."


def test_a_video_that_was_broken_is_done_whole_when_tried_again(
    video: Path, choice: ModelChoice, tmp_path: Path, out: Path
) -> None:
    path = tmp_path / "late.avi"
    path.write_bytes(b"not copied yet")
    run_bulk([str(path)], str(out), choice)
    path.write_bytes(video.read_bytes())
    assert run_bulk([str(path)], str(out), choice).images == 0
    assert run_bulk([str(path)], str(out), choice, BulkOptions(retry_errors=True)).images == 3
    assert [(row["index"], row["error"]) for row in rows_of(out)] == [(0, None), (4, None), (8, None)]
    assert run_bulk([str(path)], str(out), choice).images == 0


@pytest.mark.parametrize("nested", [False, True])
def test_images_inside_parquet_give_rows_by_their_number(
    pictures: Path, choice: ModelChoice, tmp_path: Path, out: Path, nested: bool
) -> None:
    contents: list[bytes | None] = [path.read_bytes() for path in sorted(pictures.rglob("*.png"))]
    contents[2:3] = [None, b"no image"]
    column = [{"bytes": item, "path": None} for item in contents] if nested else contents
    pq.write_table(pa.table({"image": column}), tmp_path / "set.parquet", row_group_size=4)
    run_bulk([str(tmp_path / "set.parquet")], str(out), choice)
    rows = rows_of(out)
    assert [row["index"] for row in rows] == list(range(6))
    assert [row["error"] for row in rows if row["error"]] == [
        f"{tmp_path / 'set.parquet'}, row 2 holds no image.",
        f"{tmp_path / 'set.parquet'}, row 3 is damaged, or not an image that OpenCV can read.",
    ]
    stored = [hashlib.sha256(item).hexdigest() if item else None for item in contents]
    assert [row["sha256"] for row in rows] == stored
    assert run_bulk([str(tmp_path / "set.parquet")], str(out), choice).images == 0


def test_input_and_output_may_lie_on_another_file_system(pictures: Path, choice: ModelChoice) -> None:
    memory = fsspec.filesystem("memory")
    for path in pictures.glob("*.png"):
        memory.pipe(f"/bucket/in/{path.name}", path.read_bytes())
    assert run_bulk(["memory://bucket/in"], "memory://bucket/out", choice, BulkOptions(maps=True)).images == 4
    assert run_bulk(["memory://bucket/in"], "memory://bucket/out", choice, BulkOptions(maps=True)).images == 0
    (part,) = memory.glob("/bucket/out/rows/*")
    with memory.open(part) as stream:
        rows = pq.read_table(stream).to_pylist()
    assert {row["image"] for row in rows} == {f"memory:///bucket/in/{number}.png" for number in range(4)}
    assert all(memory.exists(f"/bucket/out/{row['map']}") for row in rows)


def test_a_part_that_is_damaged_is_named(pictures: Path, choice: ModelChoice, out: Path) -> None:
    run_bulk([str(pictures)], str(out), choice)
    (part,) = (out / "rows").iterdir()
    part.write_bytes(part.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{part.name} is damaged"):
        run_bulk([str(pictures)], str(out), choice)
