"""Where frames for a calibration set come from: folders, files and data sets, videos, and live sources."""

import hashlib
import itertools
import logging
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from br2net.datasets.pairs import Pair, find_pairs
from br2net.errors import DatasetError, ImageError, InputError
from br2net.files import VIDEO_SUFFIXES, sha256_of
from br2net.live.camera import Camera, CameraOptions, every_frame, open_video
from br2net.runtime.images import list_images, read_image
from br2net.types import Frame

LIVE_INTERVAL_S = 0.5  # between two frames taken of a live source
GIVE_UP_S = 30.0  # without a frame

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SourceFrame:
    """One frame, as it came.

    Attributes:
        name: file name; of a video with the number of the frame behind it, as `street.mp4#120`.
        sha256: of the file's bytes, or of the pixels of a video's frame.
        frame: uint8 `(H, W, 3)` BGR.
        pair: its photograph and mask, where it comes from a data set.
    """

    name: str
    sha256: str
    frame: Frame
    pair: Pair | None = None


def read_sources(sources: Sequence[str], split: Collection[str] | None, count: int, seed: int) -> Iterator[SourceFrame]:
    """Frames of folders, images, data sets, videos and live sources, in a definite order.

    Args:
        sources: a folder of images or a data set, an image, a pattern, a video file, or a live source as `Camera` takes
            it: the number of a camera, an address as `rtsp://…`, or a GStreamer pipeline.
        split: stems of the images to take; None for all.
        count: at most so many of each source. Of more images that many are drawn by `seed`; of a video frames are taken
            at equal distances, of a live source one each half second.
        seed: of the drawing.

    Raises:
        InputError: if a source is not there, holds no image or cannot be opened, or a live one gives no frame.
    """
    for source in sources:
        if is_live(source):
            yield from _live(source, count)
        elif Path(source).suffix.lower() in VIDEO_SUFFIXES:
            yield from _video(Path(source), count)
        else:
            yield from _images(source, split, count, seed)


def is_live(source: str) -> bool:
    """Whether a source is a camera, a network stream or a GStreamer pipeline and not a file or a folder."""
    return source.isdecimal() or " ! " in source or "://" in source or source.startswith("/dev/video")


def _images(source: str, split: Collection[str] | None, count: int, seed: int) -> Iterator[SourceFrame]:
    files = _image_files(source)
    if split is not None:
        files = [(path, pair) for path, pair in files if path.stem in split]
        if not files:
            raise InputError(f"{source} holds none of the {len(split)} images that the split names.")
    if len(files) > count:
        drawn = np.sort(np.random.default_rng(seed).permutation(len(files))[:count])
        files = [files[index] for index in drawn]
    unread = []
    for path, pair in files:
        try:
            frame = read_image(path)
        except ImageError as error:
            unread.append(error)
            continue
        yield SourceFrame(path.name, sha256_of(path), frame, pair)
    if len(unread) == len(files):
        raise unread[0]
    if unread:
        _log.warning("%d of %d images cannot be read, as %s", len(unread), len(files), unread[0])


def _image_files(source: str) -> list[tuple[Path, Pair | None]]:
    """Images of a folder or a pattern; those of a data set, which come with their masks, where it is one."""
    try:
        return [(path, None) for path in list_images([source])]
    except InputError:
        if not Path(source).is_dir():
            raise
        try:
            return [(pair.image, pair) for pair in find_pairs(Path(source))]
        except DatasetError:
            pass
        raise


def _video(path: Path, count: int) -> Iterator[SourceFrame]:
    given = 0
    with open_video(path) as capture:
        stride = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // count, 1)
        for index, frame in itertools.islice(every_frame(capture, stride), count):
            yield _pixels(f"{path.name}#{index}", frame)
            given += 1
    if not given:
        raise InputError(f"{path} holds no frame that can be decoded.")


def _live(source: str, count: int) -> Iterator[SourceFrame]:
    with Camera(source, CameraOptions(give_up_s=GIVE_UP_S)) as camera:
        due = time.monotonic()
        given = 0
        for item in camera:
            if time.monotonic() < due:
                continue
            yield _pixels(f"{camera.name}#{item.index}", item.frame)
            given += 1
            if given == count:
                return
            due = time.monotonic() + LIVE_INTERVAL_S
    if not given:
        raise InputError(f"The source {camera.name} gives no frame.")
    _log.warning("%s ended after %d frames.", camera.name, given)


def _pixels(name: str, frame: Frame) -> SourceFrame:
    return SourceFrame(name, hashlib.sha256(np.ascontiguousarray(frame).tobytes()).hexdigest(), frame)
