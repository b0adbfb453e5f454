"""Options of a camera."""

from dataclasses import dataclass

from br2net.errors import InputError
from br2net.live.buffer import BufferPolicy

ROTATIONS = (0, 90, 180, 270)
TRANSPORTS = ("tcp", "udp")
FOURCCS = ("MJPG", "YUYV")
LARGEST_SIDE = 16384


@dataclass(frozen=True)
class CameraOptions:
    """How a source is read.

    Attributes:
        policy: what happens when frames come faster than they are taken; None for DROP_OLDEST if live, else WAIT. A file
            with DROP_OLDEST is played at its own rate, as a camera would give it.
        size: `(width, height)` in pixels, before turning: asked of a device, and otherwise resized to.
        fps: frames a second, at most: asked of a device; of anything faster, frames are left out. Images of a folder: the
            rate at which they are taken to follow each other.
        rotate: degrees clockwise: 0, 90, 180 or 270.
        transport: of RTSP: `tcp`, or `udp` for less delay where packets get lost rarely.
        timeout_s: seconds without a frame after which a network source counts as lost.
        backoff_s: wait before the first reconnection; it doubles up to `longest_backoff_s`.
        give_up_s: seconds without a frame after which no reconnection is tried any more; None for never.
        skip: whether frames are left out evenly, by taking every second or third, when so many are dropped that the
            device clearly cannot keep up. DROP_OLDEST alone.
        fourcc: format asked of a USB camera: `MJPG` (compressed: large frames over USB 2) or `YUYV` (needs no decoding);
            None for the driver's choice.

    Raises:
        InputError: if a value is not possible.
    """

    policy: BufferPolicy | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    rotate: int = 0
    transport: str = "tcp"
    timeout_s: float = 2.0
    backoff_s: float = 0.5
    longest_backoff_s: float = 10.0
    give_up_s: float | None = None
    skip: bool = True
    fourcc: str | None = None

    def __post_init__(self) -> None:
        if self.rotate not in ROTATIONS:
            raise InputError(f"rotate must be 0, 90, 180 or 270, got {self.rotate}.")
        if self.transport not in TRANSPORTS:
            raise InputError(f"transport must be tcp or udp, got {self.transport}.")
        if self.fourcc is not None and self.fourcc not in FOURCCS:
            raise InputError(f"fourcc must be one of {', '.join(FOURCCS)}, got {self.fourcc}.")
        if self.fps is not None and not 0.0 < self.fps <= 1000.0:
            raise InputError(f"fps must be above 0 and at most 1000, got {self.fps:g}.")
        if self.size is not None and not all(0 < side <= LARGEST_SIDE for side in self.size):
            raise InputError(f"Both sides of size must be 1 to {LARGEST_SIDE}, got {self.size[0]}x{self.size[1]}.")
        if self.timeout_s <= 0.0 or self.backoff_s < 0.0 or self.longest_backoff_s < self.backoff_s:
            raise InputError(
                "timeout_s must be positive, backoff_s 0 or more, and longest_backoff_s at least backoff_s, "
                f"got {self.timeout_s:g}, {self.backoff_s:g} and {self.longest_backoff_s:g}."
            )
