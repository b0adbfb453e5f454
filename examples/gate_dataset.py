"""Gates a data set: photographs whose subject is out of focus are rejected, with the reason.

`python examples/gate_dataset.py IMAGES [--masks MASKS] [-o accepted.txt] [--most 0.3]`

The subject is what is white in the mask of the same name (a segmentation that the data set has anyway), or else the middle
ninth of the photograph. It ends with 3 where fewer than --least of the photographs pass, so that a build can stop on it.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import br2net
from br2net.errors import Br2netError, ImageError, InputError
from br2net.files import write_text
from br2net.runtime.images import list_images, read_image


def subject_of(path: Path, shape: tuple[int, int], masks: Path | None) -> NDArray[np.bool_]:
    """Where the subject is: bool `(H, W)`.

    Raises:
        ImageError: if there is a folder of masks and none for this photograph, or it is of another size or empty.
    """
    if masks is None:
        middle = np.zeros(shape, bool)
        middle[shape[0] // 3 : -(shape[0] // 3), shape[1] // 3 : -(shape[1] // 3)] = True
        return middle
    mask = read_image(masks / f"{path.stem}.png")[:, :, 0] >= 128
    if mask.shape != shape or not mask.any():
        raise ImageError(f"The mask of {path} is empty or of another size.")
    return np.asarray(mask)


def main(options: argparse.Namespace) -> None:
    """What the command line asks for."""
    if not options.images.exists():
        raise InputError(f"There is no folder {options.images}.")
    accepted, rejected = [], 0
    with br2net.Detector.load("mobile") as detector:
        for path in list_images([options.images]):
            try:
                blur = detector(path).map
                blurred = float((blur[subject_of(path, blur.shape, options.masks)] >= 0.5).mean())
            except ImageError as error:
                reason = str(error)
            else:
                if blurred <= options.most:
                    accepted.append(path)
                    continue
                reason = f"{blurred:.0%} of the subject is blurred"
            rejected += 1
            print(f"rejected {path.name}: {reason}")
    print(f"{len(accepted)} of {len(accepted) + rejected} photographs pass.")
    if options.output:
        write_text(options.output, "".join(f"{path}\n" for path in accepted))
    if len(accepted) < options.least * (len(accepted) + rejected):
        sys.exit(3)


parser = argparse.ArgumentParser(description="Rejects photographs whose subject is out of focus.")
parser.add_argument("images", type=Path)
parser.add_argument("--masks", type=Path, help="folder of PNG masks, white = subject")
parser.add_argument("--most", type=float, default=0.3, help="of the subject may be blurred")
parser.add_argument("--least", type=float, default=0.0, help="share of the photographs that has to pass")
parser.add_argument("-o", "--output", type=Path, help="list of those that pass, one a line")
try:
    main(parser.parse_args())
except Br2netError as error:
    parser.error(str(error))
