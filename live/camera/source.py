"""What a text means as a source of frames."""

import glob
import re
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from br2net.errors import CameraError
from br2net.files import IMAGE_SUFFIXES

STREAM_SCHEMES = ("rtsp", "rtsps", "rtmp", "udp", "srt", "tcp")
FINITE_ELEMENTS = re.compile(r"\b(?:multi)?filesrc\b|\bnum-buffers\s*=")


class SourceKind(Enum):
    """The kinds of sources, each with its own way of reading."""

    DEVICE = "device"
    CSI = "csi"
    STREAM = "stream"
    HTTP = "http"
    GSTREAMER = "gstreamer"
    FILE = "file"
    IMAGES = "images"


@dataclass(frozen=True)
class Source:
    """A source that is understood, and not yet opened.

    Attributes:
        kind: how it is read.
        address: what the reader opens: a number, a path, an address or a pipeline.
        name: for people, without user name and password.
        live: True if frames come without being asked for, so that those which nobody takes are lost. An HTTP address
            may turn out to be a file; its reader knows.
    """

    kind: SourceKind
    address: str
    name: str
    live: bool


def parse_source(source: str | int | Path) -> Source:
    """Understand a device number, `csi://0`, `v4l2://…`, `rtsp://…`, `http://…`, a GStreamer pipeline, a file or a folder.

    Raises:
        CameraError: if it is none of these, or names a file that is not there.
    """
    text = str(source).strip()
    if not text:
        raise CameraError("A source of frames was left empty.")
    if text.isdecimal():
        return Source(SourceKind.DEVICE, text, f"camera {int(text)}", True)
    if " ! " in text:
        return Source(SourceKind.GSTREAMER, text, text.split()[0], FINITE_ELEMENTS.search(text) is None)
    scheme, separator, rest = text.partition("://")
    if separator and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return _parse_address(scheme.lower(), rest, text)
    if re.fullmatch(r"/dev/video\d+", text):
        return Source(SourceKind.DEVICE, text, text, True)
    return _parse_path(text)


def _parse_address(scheme: str, rest: str, text: str) -> Source:
    if scheme == "csi":
        if not rest.isdecimal():
            raise CameraError(f"{text} is no CSI camera; they are written csi://0, csi://1 and so on.")
        return Source(SourceKind.CSI, rest, text, True)
    if scheme == "v4l2":
        if not re.fullmatch(r"\d+|/dev/\S+", rest):
            raise CameraError(f"{text} is no V4L2 camera; they are written v4l2:///dev/video0 or v4l2://0.")
        return Source(SourceKind.DEVICE, rest, text, True)
    if scheme == "file":
        return _parse_path(rest)
    if scheme not in (*STREAM_SCHEMES, "http", "https"):
        known = ", ".join(f"{item}://" for item in ("csi", "v4l2", "http", "https", *STREAM_SCHEMES))
        raise CameraError(f"{without_password(text)} starts with a scheme that is not known; there are {known}.")
    try:
        host = urlsplit(text).hostname
    except ValueError as error:
        raise CameraError(f"{without_password(text)} is no address: {error}.") from error
    if not host and scheme != "udp":
        raise CameraError(f"{text} names no host.")
    kind = SourceKind.HTTP if scheme in ("http", "https") else SourceKind.STREAM
    return Source(kind, text, without_password(text), True)


def _parse_path(text: str) -> Source:
    path = Path(text)
    try:
        is_folder, is_file = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name that no file can have
        is_folder = is_file = False
    if is_folder or (not is_file and glob.has_magic(text)) or (is_file and path.suffix.lower() in IMAGE_SUFFIXES):
        return Source(SourceKind.IMAGES, text, path.name or text, False)
    if not is_file:
        raise CameraError(f"There is no file {text}, and it is no address of a camera either.")
    return Source(SourceKind.FILE, text, path.name, False)


def without_password(address: str) -> str:
    """The address as it may be shown: user name and password left out."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return re.sub(r"//[^/@]*@", "//", address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
