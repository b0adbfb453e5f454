"""HTTP sources: MJPEG is read here, as a camera serves it; anything else is FFmpeg's, through OpenCV."""

import http.client
import socket
import urllib.error
import urllib.request
from contextlib import suppress
from functools import partial
from typing import Any
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


def open_http(source: Source, options: CameraOptions) -> FrameReader:
    """Open an HTTP address: as MJPEG if the server says so, else as a stream or file that FFmpeg knows.

    Raises:
        CameraError: if the server does not answer, refuses, or sends nothing that can be read.
    """
    connection = _Connection(source, options.timeout_s)
    content_type = connection.response.headers.get_content_type()
    if content_type == "multipart/x-mixed-replace":
        return MjpegReader(connection)
    connection.close()
    from br2net.live.camera.capture import CaptureReader

    return CaptureReader(source, options)


class MjpegReader(FrameReader):
    """JPEG images in a multipart response. Each is decoded by itself, so that a damaged one harms no other."""

    live = True

    def __init__(self, connection: "_Connection") -> None:
        self._connection = connection
        boundary = connection.response.headers.get_param("boundary")
        self._parts = MultipartReader(connection.response, str(boundary or ""))
        self._jpeg = b""

    def grab(self) -> bool:
        """Receive the next image; False when the connection breaks or stalls."""
        try:
            part = self._parts.read()
        except (OSError, http.client.HTTPException, ValueError, AttributeError):  # the last two: closed meanwhile
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
        self._connection.shut_down()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _Connection:
    """One answered GET request whose socket can be shut down from another thread."""

    def __init__(self, source: Source, timeout_s: float) -> None:
        self._socket: socket.socket | None = None
        address = without_password(source.address)
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        parts = urlsplit(source.address)
        if parts.username is not None:
            passwords.add_password(None, address, unquote(parts.username), unquote(parts.password or ""))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # a camera is on one's own network
            _HttpHandler(self._opened),
            _HttpsHandler(self._opened),
            urllib.request.HTTPBasicAuthHandler(passwords),
            urllib.request.HTTPDigestAuthHandler(passwords),
        )
        try:
            self.response: http.client.HTTPResponse = opener.open(address, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 401:
                raise CameraError(
                    f"{source.name} wants a user name and password; write them as http://user:password@host/…."
                ) from error
            raise CameraError(f"{source.name} answers {error.code} {error.reason}.") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise CameraError(
                f"{source.name} cannot be reached: {getattr(reason, 'strerror', None) or reason}."
            ) from error

    def _opened(self, opened: socket.socket) -> None:
        self._socket = opened

    def shut_down(self) -> None:
        """End reading and writing, also in another thread."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Free the socket."""
        self.shut_down()
        self.response.close()


class _TellingHttp(http.client.HTTPConnection):
    """Hands its socket to `opened` once connected."""

    def __init__(self, *args: Any, opened: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tell = opened

    def connect(self) -> None:
        super().connect()
        self._tell(self.sock)


class _TellingHttps(_TellingHttp, http.client.HTTPSConnection):
    """The same over TLS."""


class _HttpHandler(urllib.request.HTTPHandler):
    def __init__(self, opened: Any) -> None:
        super().__init__()
        self._make = partial(_TellingHttp, opened=opened)

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def __init__(self, opened: Any) -> None:
        super().__init__()
        self._make = partial(_TellingHttps, opened=opened)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._make, req)
