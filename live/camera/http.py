"""MJPEG over HTTP, as network cameras serve it."""

import http.client
import os
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from br2net.errors import CameraError
from br2net.live.camera.multipart import MultipartReader
from br2net.live.camera.options import CameraOptions
from br2net.live.camera.reader import FrameReader
from br2net.live.camera.source import Source, without_password
from br2net.types import Frame

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def open_mjpeg(source: Source, options: CameraOptions) -> "MjpegReader | None":
    """Open an HTTP address that serves MJPEG; None if it serves anything else, which is for FFmpeg.

    Raises:
        CameraError: if the server does not answer or refuses.
    """
    response = _request(source, options.timeout_s)
    if response.headers.get_content_type() == "multipart/x-mixed-replace":
        return MjpegReader(response)
    response.close()
    return None


class MjpegReader(FrameReader):
    """JPEG images in a multipart response. Each is decoded by itself, so that a damaged one harms no other."""

    live = True

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self._socket = socket.socket(fileno=os.dup(response.fileno()))  # to shut it down from another thread
        self._parts = MultipartReader(response, str(response.headers.get_param("boundary") or ""))
        self._jpeg = b""

    def grab(self) -> bool:
        """Receive the next image; False when the connection breaks or stalls."""
        try:
            part = self._parts.read()
        except (OSError, http.client.HTTPException, ValueError, AttributeError):  # the last two: closed by `close`
            return False
        self._jpeg = part or b""
        return part is not None

    def retrieve(self) -> Frame | None:
        """Decode the image; None if it is cut short or no JPEG."""
        data = self._jpeg.rstrip(b"\r\n\0")
        pixels = None
        if data.startswith(JPEG_START) and data.endswith(JPEG_END):
            with suppress(cv2.error):
                pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            self.damaged += 1
            return None
        return np.asarray(pixels, dtype=np.uint8)

    def interrupt(self) -> None:
        """Shut the connection down, so that waiting for data ends at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self.interrupt()
        self._response.close()
        self._socket.close()


def _request(source: Source, timeout_s: float) -> http.client.HTTPResponse:
    address, parts = without_password(source.address), urlsplit(source.address)
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if parts.username is not None:
        passwords.add_password(None, address, unquote(parts.username), unquote(parts.password or ""))
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),  # a camera is on one's own network
        urllib.request.HTTPBasicAuthHandler(passwords),
        urllib.request.HTTPDigestAuthHandler(passwords),
    )
    try:
        response: http.client.HTTPResponse = opener.open(address, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 401:
            raise CameraError(
                f"{source.name} wants a user name and password; write them as http://user:password@host/…."
            ) from error
        raise CameraError(f"{source.name} answers {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise CameraError(f"{source.name} cannot be reached: {getattr(reason, 'strerror', None) or reason}.") from error
    return response
