"""Taking a `multipart/x-mixed-replace` body apart, as cameras write it."""

from typing import Protocol

LARGEST_PART_BYTES = 64 << 20
LARGEST_LINE_BYTES = 4096
CHUNK_BYTES = 64 << 10


class Body(Protocol):
    """What an HTTP response offers for reading."""

    def read1(self, n: int = -1, /) -> bytes:
        """Give what has come, at most `n` bytes; empty at the end."""
        ...


class MultipartReader:
    """Gives the parts of a body one by one.

    A part that tells its length is taken by it; any other ends before the next boundary. Boundaries are recognised with
    and without the two dashes that some servers write into the header by mistake.
    """

    def __init__(self, body: Body, boundary: str) -> None:
        self._body = body
        self._boundary = b"--" + boundary.strip('"').removeprefix("--").encode("latin-1", "replace")
        self._buffer = bytearray()

    def read(self) -> bytes | None:
        """Give the next part, or None at the end.

        Raises:
            OSError: if the connection breaks.
            ValueError: if the body is no multipart.
        """
        if self._find(self._boundary, 0) is None:
            return None
        length = self._read_headers()
        if length is None:
            end = self._find(b"\r\n" + self._boundary, 0)
            return None if end is None else self._cut(end)
        while len(self._buffer) < length:
            if not self._fill():
                return None
        return self._cut(length)

    def _read_headers(self) -> int | None:
        """Pass over the boundary and the header lines after it; give the length they tell, if they do."""
        length = None
        start = self._find(self._boundary, 0)
        del self._buffer[: start or 0]
        while True:
            end = self._find(b"\n", 0, LARGEST_LINE_BYTES)
            if end is None:
                return None
            line = bytes(self._cut(end + 1)).strip()
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
            if not line:
                break
        if length is not None and length > LARGEST_PART_BYTES:
            raise ValueError(f"a part of {length} bytes")
        return length

    def _find(self, mark: bytes, start: int, limit: int = LARGEST_PART_BYTES) -> int | None:
        """Position of `mark`, reading on until it is there; None at the end of the body."""
        while True:
            position = self._buffer.find(mark, start)
            if position >= 0:
                return position
            start = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > limit:
                raise ValueError("a part without an end")
            if not self._fill():
                return None

    def _fill(self) -> bool:
        data = self._body.read1(CHUNK_BYTES)
        self._buffer += data
        return bool(data)

    def _cut(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data
