"""Where the pictures that `br2net detect` makes go, so that nothing of the user's is ever overwritten."""

import re
from dataclasses import dataclass
from pathlib import Path

from br2net.errors import InputError

ENDINGS = ("_blur", "_overlay")


@dataclass(frozen=True)
class Outputs:
    """Where the two pictures of one image go."""

    blur: Path
    overlay: Path


def plan_outputs(paths: list[Path], folder: Path) -> dict[Path, Outputs]:
    """Choose where the pictures of each image go.

    By its stem, numbered (`-2`, `-3`, …) where that is taken: by another image, by an input, or by a file that br2net
    did not make. Names compare without regard to case, since some file systems do not tell it apart.

    Raises:
        InputError: if the folder is a file.
    """
    from br2net.runtime.images import is_own_png

    if folder.exists() and not folder.is_dir():
        raise InputError(f"The output folder {folder} is a file.")
    taken = {_key(path.resolve()) for path in paths} | {_key(path.parent.resolve() / path.name) for path in paths}
    home = folder.resolve()
    next_numbers: dict[str, int] = {}
    places = {}
    for path in paths:
        number = next_numbers.get(path.stem.casefold(), 1)
        while True:
            stem = path.stem if number == 1 else f"{path.stem}-{number}"
            names = [f"{stem}{ending}.png" for ending in ENDINGS]
            keys = {_key(home / name) for name in names}
            number += 1
            if not keys & taken and all(is_own_png(home / name) or not (home / name).exists() for name in names):
                break
        next_numbers[path.stem.casefold()] = number
        taken |= keys
        places[path] = Outputs(*(folder / name for name in names))
    return places


def without_earlier_outputs(paths: list[Path], folder: Path) -> list[Path]:
    """Leave out what an earlier run made of these same images, where the output folder is an input folder too.

    Such a picture bears the mark of `write_png` and the name that `plan_outputs` gives; anything else stays an input.
    """
    from br2net.runtime.images import is_own_png

    stems = {path.stem for path in paths}
    home = folder.resolve()

    def is_earlier_output(path: Path) -> bool:
        match = re.fullmatch(r"(.+?)(-\d+)?(?:_blur|_overlay)", path.stem)
        if match is None or path.suffix != ".png" or not stems & {match[1], f"{match[1]}{match[2] or ''}"}:
            return False
        return path.parent.resolve() == home and is_own_png(path)

    return [path for path in paths if not is_earlier_output(path)]


def _key(path: Path) -> str:
    return str(path).casefold()
