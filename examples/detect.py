"""Finds what is out of focus in one photograph: `python examples/detect.py PHOTOGRAPH OVERLAY.png`."""

import argparse
from pathlib import Path

import br2net
from br2net.errors import Br2netError
from br2net.runtime.images import read_image, write_png

parser = argparse.ArgumentParser(description="Finds what is out of focus in one photograph.")
parser.add_argument("photograph", type=Path)
parser.add_argument("overlay", type=Path, help="PNG to write: the photograph with what is blurred drawn over it")
options = parser.parse_args()

try:
    with br2net.Detector.load("mobile") as detector:
        frame = read_image(options.photograph)
        blur = detector(frame)
    write_png(options.overlay, blur.overlay(frame))
except Br2netError as error:
    parser.error(str(error))
print(f"{blur.blurred_fraction:.0%} of {options.photograph} is out of focus.")
