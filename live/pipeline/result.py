"""Result of one frame, and the sinks that take it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from br2net.errors import InputError
from br2net.live.camera import CapturedFrame
from br2net.runtime.postprocessing import Outputs
from br2net.types import Frame, Map


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds that one frame spent in each stage; in a batch, its share.

    Attributes:
        capture: reading and decoding, size and rotation included.
        preprocess: frame to network input.
        inference: network input to map; on a GPU the time of its clock, copies included.
        postprocess: map to frame size, its figures, the overlay.
    """

    capture: float
    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame with what was found in it. Sinks share it, so nothing in it may be written to.

    Attributes:
        captured: the frame, with the name of its camera, its number and its time.
        outputs: outputs that the sinks want.
        blurred_fraction: share of the pixels whose map is at least 0.5, 0..1.
        regions: the same for each named region.
        sharpness: focus score; larger is sharper. It compares frames of one scene, for autofocus.
        latency_ms: capture to sink.
        stages: time of each stage.
        alerts: texts of the alerts that are on at this frame.
        region_sharpness: focus score of each named region.
    """

    captured: CapturedFrame
    outputs: Outputs
    blurred_fraction: float
    regions: Mapping[str, float]
    sharpness: float
    latency_ms: float
    stages: StageTimes
    alerts: tuple[str, ...] = ()
    region_sharpness: Mapping[str, float] = field(default_factory=dict)

    @property
    def camera(self) -> str:
        """Name of the source."""
        return self.captured.camera

    @property
    def index(self) -> int:
        """Number of the frame in its source, from 0; frames that were dropped keep theirs."""
        return self.captured.index

    @property
    def timestamp(self) -> float:
        """Seconds since the epoch when the frame was captured."""
        return self.captured.timestamp

    @property
    def frame(self) -> Frame:
        """The picture: uint8 `(H, W, 3)` BGR, converted when it is first read if the camera delivers another format."""
        return self.captured.frame

    @property
    def map(self) -> Map:
        """The blur map: float32 `(H, W)`, 0 = in focus, 1 = blurred.

        Raises:
            InputError: if no sink wants it.
        """
        if self.outputs.map is None:
            raise InputError("The map was not computed; the `wanted` of a sink that reads it must hold `Wanted.MAP`.")
        return self.outputs.map


class Sink(Protocol):
    """Takes results, one at a time, from one thread.

    A sink may have an attribute `wanted`, the outputs that it reads (`br2net.runtime.postprocessing.Wanted`); without it
    the map is computed. `Wanted.FRACTION` is enough for a sink that reads no more than figures.
    """

    def write(self, result: FrameResult) -> None:
        """Take one result. What it holds may be kept, and must not be written to.

        Raises:
            SinkError: if the sink cannot continue; the pipeline reports it once, closes it and continues without it.
        """
        ...

    def close(self) -> None:
        """Finish what was begun, so that files are whole. Closing twice does no harm."""
        ...
