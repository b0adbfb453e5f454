"""GStreamer pipelines: that of a Jetson's CSI camera, and the end that hands frames to OpenCV."""

from br2net.runtime.camera.options import CameraOptions

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
