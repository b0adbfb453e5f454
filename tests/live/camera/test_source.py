from pathlib import Path

import pytest

from br2net.errors import CameraError
from br2net.live.camera import SourceKind, parse_source


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        (0, SourceKind.DEVICE, "0"),
        ("2", SourceKind.DEVICE, "2"),
        ("/dev/video1", SourceKind.DEVICE, "/dev/video1"),
        ("v4l2:///dev/video1", SourceKind.DEVICE, "/dev/video1"),
        ("csi://1", SourceKind.CSI, "1"),
        ("rtsp://host/a", SourceKind.STREAM, "rtsp://host/a"),
        ("https://host/a.mjpg", SourceKind.HTTP, "https://host/a.mjpg"),
        ("v4l2src ! videoconvert", SourceKind.GSTREAMER, "v4l2src ! videoconvert"),
    ],
)
def test_a_text_is_understood_as_the_live_source_that_it_names(text: str | int, kind: SourceKind, address: str) -> None:
    source = parse_source(text)
    assert (source.kind, source.address, source.live) == (kind, address, True)


def test_a_video_is_a_file_and_a_folder_or_an_image_are_images(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.png"):
        (tmp_path / name).write_bytes(b"x")
    assert parse_source(tmp_path / "a.mp4").kind is SourceKind.FILE
    assert parse_source(tmp_path / "b.png").kind is SourceKind.IMAGES
    assert parse_source(tmp_path).kind is SourceKind.IMAGES
    assert not parse_source(tmp_path).live


def test_a_pipeline_that_reads_a_file_ends_and_is_not_live() -> None:
    assert not parse_source("filesrc location=a.mp4 ! decodebin").live
    assert not parse_source("videotestsrc num-buffers=10 ! videoconvert").live


def test_the_name_of_a_source_holds_no_password() -> None:
    assert parse_source("rtsp://me:secret@host:554/a?b=1").name == "rtsp://host:554/a?b=1"


@pytest.mark.parametrize(
    "text",
    ["", "nothing.mp4", "foo://host/", "csi://front", "v4l2://x y", "http://", "http://[::1/a", "a\0b"],
)
def test_what_is_no_source_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(CameraError) as caught:
        parse_source(text)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence


def test_a_refused_address_is_named_without_its_password() -> None:
    with pytest.raises(CameraError) as caught:
        parse_source("ftp://me:secret@host/")
    assert "secret" not in str(caught.value)
