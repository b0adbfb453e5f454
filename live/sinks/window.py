"""A window on the desktop."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import cv2

from br2net.errors import InputError, SinkError
from br2net.live.pipeline import FrameResult
from br2net.live.sinks.drawing import Drawing, write_text

FONTS = Path("/usr/share/fonts/truetype/dejavu")
QUIT_KEYS = (ord("q"), 27)  # 27: Escape


class WindowSink:
    """Shows what is drawn, one window for each camera. For the main thread, as desktops require."""

    def __init__(self, drawing: Drawing, quit_asked: Callable[[], None]) -> None:
        """Show drawings; `quit_asked` is called when q or Escape is pressed or a window is closed.

        Raises:
            InputError: if there is no desktop here. (OpenCV's Qt would end the whole program.)
        """
        if sys.platform.startswith("linux") and not any(
            os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
        ):
            raise InputError("There is no desktop to show a window on; leave out --show, or set DISPLAY.")
        _find_fonts()
        self._drawing, self.wanted = drawing, drawing.wanted
        self._quit_asked = quit_asked
        self._names: set[str] = set()

    def write(self, result: FrameResult) -> None:
        """Show a result.

        Raises:
            SinkError: if this OpenCV has no windows.
        """
        picture = self._drawing.draw(result).copy()
        text = f"{result.blurred_fraction:.0%} blurred  {result.latency_ms:.0f} ms  {'; '.join(result.alerts)}"
        write_text(picture, text, (8, picture.shape[0] - 10))
        name = f"br2net {result.camera}"
        try:
            if name in self._names and cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) < 1:
                self._quit_asked()
                return
            if name not in self._names:
                cv2.namedWindow(name, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
                cv2.resizeWindow(name, *reversed(picture.shape[:2]))
                self._names.add(name)
            cv2.imshow(name, picture)
            if cv2.pollKey() & 0xFF in QUIT_KEYS:
                self._quit_asked()
        except cv2.error as error:
            raise SinkError(f"This OpenCV shows no windows ({error.err}); the frames go on without.") from error

    def close(self) -> None:
        """Close the windows."""
        for name in self._names:
            if cv2.getWindowProperty(name, cv2.WND_PROP_VISIBLE) >= 0:
                cv2.destroyWindow(name)
        self._names.clear()


def _find_fonts() -> None:
    """Pip's OpenCV points its Qt at a folder of fonts that it does not bring, and Qt complains line by line."""
    named = os.environ.get("QT_QPA_FONTDIR")
    if named is not None and not Path(named).is_dir() and FONTS.is_dir():
        os.environ["QT_QPA_FONTDIR"] = str(FONTS)
