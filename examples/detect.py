"""Finds what is out of focus in one photograph: `python examples/detect.py PHOTOGRAPH OVERLAY.png`."""

import sys
from pathlib import Path

import br2net
from br2net.runtime.images import read_image, write_png

detector = br2net.Detector.load("mobile")
frame = read_image(Path(sys.argv[1]))
blur = detector(frame)
write_png(Path(sys.argv[2]), blur.overlay(frame))
print(f"{blur.blurred_fraction:.0%} of {sys.argv[1]} is out of focus.")
