import io

import pytest

from br2net.live.camera.multipart import MultipartReader


class Trickle(io.BytesIO):
    """A body of which at most `step` bytes come at once."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self.step = step

    def read1(self, n: int | None = -1, /) -> bytes:
        return self.read(self.step)


PARTS = [b"first", b"", b"third\r\n--other\r\nline"]


def body(tells_length: bool, newline: bytes = b"\r\n") -> bytes:
    pieces = []
    for part in PARTS:
        length = b"content-LENGTH: %d" % len(part) + newline if tells_length else b""
        pieces.append(b"--x" + newline + b"Content-Type: image/jpeg" + newline + length + newline + part + b"\r\n")
    return b"preamble" + b"".join(pieces) + b"--x--\r\n"


@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("boundary", ["x", "--x", '"x"'])
def test_parts_come_whole_however_the_body_trickles_in(step: int, tells_length: bool, boundary: str) -> None:
    reader = MultipartReader(Trickle(body(tells_length), step), boundary)
    assert [reader.read() for _ in PARTS] == PARTS


def test_a_server_that_ends_its_lines_with_a_mere_newline_is_understood() -> None:
    reader = MultipartReader(Trickle(body(True, b"\n"), 5), "x")
    assert [reader.read() for _ in PARTS] == PARTS


def test_a_part_that_breaks_off_is_not_given() -> None:
    data = body(True)
    reader = MultipartReader(Trickle(data[: data.index(b"other")], 3), "x")
    assert [reader.read() for _ in range(3)] == [b"first", b"", None]


def test_the_end_boundary_ends_the_body() -> None:
    reader = MultipartReader(Trickle(body(True), 100), "x")
    parts = [reader.read() for _ in range(4)]
    assert parts[3] is None


def test_a_part_of_impossible_length_is_refused() -> None:
    with pytest.raises(ValueError):
        MultipartReader(Trickle(b"--x\r\nContent-Length: 99999999999\r\n\r\n", 100), "x").read()
