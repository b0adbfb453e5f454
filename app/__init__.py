"""BR²Net at the edge: finds what is out of focus, pixel by pixel, live.

`Detector` turns a frame into a `BlurMap`, `Camera` gives frames. Nothing heavy is imported before it is used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from br2net.blur_map import BlurMap
    from br2net.detector import Detector
    from br2net.live.camera import Camera, CameraOptions

__version__ = "0.1.0"
__all__ = ["BlurMap", "Camera", "CameraOptions", "Detector", "__version__"]

_HOMES = {
    "BlurMap": "br2net.blur_map",
    "Camera": "br2net.live.camera",
    "CameraOptions": "br2net.live.camera",
    "Detector": "br2net.detector",
}


def __getattr__(name: str) -> Any:
    """Import a public class when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module 'br2net' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
