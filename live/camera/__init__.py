"""Sources of frames: devices, streams, files, folders and GStreamer pipelines behind one `Camera`."""

from br2net.live.camera.buffer import BufferPolicy
from br2net.live.camera.camera import Camera, CameraStatistics
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
    "parse_source",
]
