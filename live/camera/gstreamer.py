"""GStreamer pipelines: that of a Jetson's CSI camera, and the end that hands frames to OpenCV."""

import re
import shutil
import subprocess

from br2net.errors import CameraError
from br2net.live.camera.options import CameraOptions

SIZE = (1280, 720)
RATE = 30.0
FLIP_METHODS = {0: 0, 90: 3, 180: 2, 270: 1}  # nvvidconv counts counter-clockwise
FORMATS = re.compile(r"\bformat\s*=\s*(?:\(string\)\s*)?\"?(\w+)")
UNREADABLE = ("I420", "YV12", "NV21", "UYVY", "YVYU")  # of the same shapes as NV12 and YUY2 in OpenCV
LIVE_SINK, FILE_SINK = "appsink drop=true max-buffers=1 sync=false", "appsink sync=false"


def csi_pipeline(sensor: int, options: CameraOptions) -> str:
    """Return the pipeline of the CSI camera with number `sensor`: NV12 frames of the wanted size, rate and rotation.

    The sensor gives NV12 in the GPU's memory; nvvidconv turns it there and copies it out.
    """
    width, height = options.size or SIZE
    rate = max(1, round(options.fps or RATE))
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM), width={width}, height={height}, framerate={rate}/1 ! "
        f"nvvidconv flip-method={FLIP_METHODS[options.rotate]} ! video/x-raw, format=NV12 ! {LIVE_SINK}"
    )


def with_appsink(pipeline: str, live: bool) -> str:
    """Return the pipeline with an appsink at its end, if it has none; a live one keeps the newest frame alone.

    The appsink gets NV12 or YUY2, which nearly every camera and decoder gives and which need no conversion then. OpenCV
    chooses BGR wherever it is offered, so it is not. A pipeline whose last named format is RGB or grey gets BGR.

    Raises:
        CameraError: if the pipeline has an appsink and ends in a format that cannot be read.
    """
    named = FORMATS.findall(pipeline)[-1:]
    if "appsink" in pipeline:
        if named and named[0] in UNREADABLE:
            raise CameraError(f"A pipeline with an appsink must end in NV12, YUY2, BGR or GRAY8, got {named[0]}.")
        return pipeline
    ending = LIVE_SINK if live else FILE_SINK
    if "BGR" not in pipeline:
        formats = "BGR" if named and re.search("RGB|GRAY", named[0]) else "(string){NV12, YUY2}"
        ending = f"videoconvert ! video/x-raw, format={formats} ! {ending}"
    return f"{pipeline.rstrip().removesuffix('!').rstrip()} ! {ending}"


def elements(pipeline: str) -> list[str]:
    """Names of the elements of a pipeline in order, without capabilities (`video/x-raw, …`) and references (`t.`)."""
    names = [part.split()[0] for part in pipeline.split("!") if part.strip()]
    return [name for name in names if re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name)]


def missing_elements(pipeline: str) -> list[str]:
    """Elements of a pipeline that this GStreamer does not have; none where `gst-inspect-1.0` is not there to tell.

    OpenCV does not tell either: of a pipeline that begins with an unknown element it waits for the end, for ever.
    """
    tool = shutil.which("gst-inspect-1.0")
    if tool is None:
        return []
    names = dict.fromkeys(elements(pipeline))
    return [name for name in names if subprocess.run([tool, "--exists", name], capture_output=True).returncode != 0]
