"""Sources of frames: devices, streams, files, folders and GStreamer pipelines behind one `Camera`."""

from br2net.live.buffer import BufferPolicy
from br2net.live.camera.camera import Camera, CameraStatistics, make_cameras
from br2net.live.camera.capture import every_frame, open_video
from br2net.live.camera.frame import CapturedFrame
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.source import Source, SourceKind, parse_source

__all__ = [
    "BufferPolicy",
    "Camera",
    "CameraOptions",
    "CameraStatistics",
    "CapturedFrame",
    "Source",
    "SourceKind",
    "every_frame",
    "make_cameras",
    "open_video",
    "parse_source",
]
