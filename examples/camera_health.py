"""Watches whether a fixed camera still sees sharply: a dirty or wet lens, or one knocked out of focus.

`python examples/camera_health.py SOURCE [--learn 60] [--window 180] [--margin 0.15] [--every 2]`

What a fixed camera sees blurred is nearly always the same: the first minute teaches how much. When the median over the last
three minutes is more than the margin above that, a line says so, and another when it is well again. Somebody who walks by
close to the lens moves a median of minutes little. SOURCE is whatever `br2net camera` takes.
"""

import argparse
from collections import deque
from dataclasses import dataclass, field
from statistics import median

import br2net
from br2net.errors import Br2netError


@dataclass
class Watch:
    """Blurred fractions over time, against those of the beginning. Times are in seconds."""

    learn_s: float
    window_s: float
    margin: float
    usual: float | None = None
    is_bad: bool = False
    recent: deque[tuple[float, float]] = field(default_factory=deque)

    def add(self, seconds: float, fraction: float) -> str | None:
        """Take a blurred fraction; gives a sentence where something has changed."""
        self.recent.append((seconds, fraction))
        spanned = seconds - self.recent[0][0]
        level = median(value for _, value in self.recent)
        if self.usual is None:
            if spanned < self.learn_s:
                return None
            self.usual = level
            self.recent.clear()
            return f"learned: {level:.0%} of the picture is usually blurred"
        while seconds - self.recent[0][0] > self.window_s:
            self.recent.popleft()
        if spanned < self.window_s:
            return None
        excess = level - self.usual
        if not self.is_bad and excess > self.margin:
            self.is_bad = True
            return f"look at the lens: {level:.0%} blurred for {self.window_s:.0f} s, {self.usual:.0%} is usual"
        if self.is_bad and excess < self.margin / 2:
            self.is_bad = False
            return f"well again: {level:.0%} blurred"
        return None


def main(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    watch = Watch(options.learn, options.window, options.margin)
    camera_options = br2net.CameraOptions(fps=1.0 / options.every)
    with br2net.Detector.load("mobile") as detector, br2net.Camera(options.source, camera_options) as camera:
        began: float | None = None
        for captured in camera:
            began = captured.timestamp if began is None else began
            seconds = captured.timestamp - began
            said = watch.add(seconds, detector(captured.frame).blurred_fraction)
            if said:
                print(f"{seconds / 60:6.1f} min  {said}", flush=True)
    print("the source has ended, with the lens " + ("in need of a look" if watch.is_bad else "in order"))


parser = argparse.ArgumentParser(description="Says when a fixed camera no longer sees sharply.")
parser.add_argument("source")
parser.add_argument("--learn", type=float, default=60.0, metavar="SECONDS", help="how long the usual is learned")
parser.add_argument("--window", type=float, default=180.0, metavar="SECONDS", help="over which the median is taken")
parser.add_argument("--margin", type=float, default=0.15, help="of the picture blurred more than usual")
parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="between two looks")
try:
    main(parser.parse_args())
except Br2netError as error:
    parser.error(str(error))
