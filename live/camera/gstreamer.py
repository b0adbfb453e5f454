"""GStreamer pipelines: that of a Jetson's CSI camera, and the end that hands frames to OpenCV."""

import re
import shutil
import subprocess

from br2net.live.camera.options import CameraOptions

SIZE = (1280, 720)
RATE = 30.0
FLIP_METHODS = {0: 0, 90: 3, 180: 2, 270: 1}  # nvvidconv counts counter-clockwise


def csi_pipeline(sensor: int, options: CameraOptions) -> str:
    """Pipeline of the CSI camera with number `sensor`: BGR frames of the wanted size, rate and rotation.

    The sensor gives NV12 in the GPU's memory; nvvidconv turns it there and copies it out as BGRx.
    """
    width, height = options.size or SIZE
    rate = max(1, round(options.fps or RATE))
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! "
        f"video/x-raw(memory:NVMM), width={width}, height={height}, framerate={rate}/1 ! "
        f"nvvidconv flip-method={FLIP_METHODS[options.rotate]} ! video/x-raw, format=BGRx ! "
        "videoconvert ! video/x-raw, format=BGR"
    )


def with_appsink(pipeline: str, live: bool) -> str:
    """The pipeline with an appsink at its end, if it has none; a live one keeps the newest frame alone."""
    if "appsink" in pipeline:
        return pipeline
    ending = "appsink drop=true max-buffers=1 sync=false" if live else "appsink sync=false"
    if "BGR" not in pipeline:
        ending = f"videoconvert ! video/x-raw, format=BGR ! {ending}"
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
    missing = []
    for name in dict.fromkeys(elements(pipeline)):
        if subprocess.run([tool, "--exists", name], capture_output=True).returncode != 0:
            missing.append(name)
    return missing
