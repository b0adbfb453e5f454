"""Parts of a `multipart/x-mixed-replace` body, as cameras write it."""

from typing import Protocol

LARGEST_PART_BYTES = 64 << 20
LARGEST_LINE_BYTES = 4096
CHUNK_BYTES = 64 << 10


class Body(Protocol):
    """What an HTTP response offers for reading."""

    def read1(self, n: int = -1, /) -> bytes:
        """Return what has come, at most `n` bytes; empty at the end."""
        ...


class MultipartReader:
    """Returns the parts of a body one by one.

    A part with a length in its headers has that length; any other ends before the next boundary. Boundaries are recognised with
    and without the two dashes that some servers write into the header by mistake.
    """

    def __init__(self, body: Body, boundary: str) -> None:
        self._body = body
        self._boundary = b"--" + boundary.strip('"').removeprefix("--").encode("latin-1", "replace")
        self._buffer = bytearray()

    def read(self) -> bytes | None:
        """Return the next part, or None at the end.

        Raises:
            OSError: if the connection breaks.
            ValueError: if the body is no multipart.
        """
        start = self._find(self._boundary)
        if start is None:
            return None
        self._cut(start)
        length = None
        while line := self._line():  # the boundary itself, then headers
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
        if line is None:
            return None
        if length is None:
            end = self._find(b"\r\n" + self._boundary)
            return None if end is None else self._cut(end)
        if length > LARGEST_PART_BYTES:
            raise ValueError(f"a part of {length} bytes")
        while len(self._buffer) < length:
            if not self._fill():
                return None
        return self._cut(length)

    def _line(self) -> bytes | None:
        end = self._find(b"\n", LARGEST_LINE_BYTES)
        return None if end is None else self._cut(end + 1).strip()

    def _find(self, mark: bytes, limit: int = LARGEST_PART_BYTES) -> int | None:
        """Position of `mark`, reading on until it is there; None at the end of the body."""
        start = 0
        while (position := self._buffer.find(mark, start)) < 0:
            start = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > limit:
                raise ValueError("a part without an end")
            if not self._fill():
                return None
        return position

    def _fill(self) -> bool:
        data = self._body.read1(CHUNK_BYTES)
        self._buffer += data
        return bool(data)

    def _cut(self, length: int) -> bytes:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        return data
