from pathlib import Path

import numpy as np
import pytest

from br2net.errors import CameraError
from br2net.live.camera import every_frame, open_video
from br2net.types import Frame


@pytest.mark.parametrize("stride", [1, 5, 100])
def test_every_nth_frame_of_a_video_comes_with_its_number(video: Path, decoded: list[Frame], stride: int) -> None:
    with open_video(video) as capture:
        found = list(every_frame(capture, stride))
    assert [index for index, _ in found] == list(range(0, len(decoded), stride))
    assert all(np.array_equal(frame, decoded[index]) for index, frame in found)


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "There is no file"), (b"", "is empty"), (b"no video" * 100, "is damaged, or not a video")],
)
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CameraError, match=rf"x\.mp4.*{says}|{says}.*x\.mp4"), open_video(path):
        pass
    with pytest.raises(CameraError, match="s3://bucket/x"), open_video(path, "s3://bucket/x"):
        pass
