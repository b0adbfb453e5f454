"""The command line as its script runs it, within this process."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from br2net.cli import main


@dataclass(frozen=True)
class Ending:
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ending]


@pytest.fixture
def br2net(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `br2net` with the arguments given, each of them as its text."""

    def run(*arguments: str | Path) -> Ending:
        monkeypatch.setattr(sys, "argv", ["br2net", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        code = ended.value.code
        return Ending(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture
def folder(tmp_path: Path, photograph: NDArray[np.uint8]) -> Path:
    """A folder of two photographs, `a.jpg` and `b.png`."""
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    cv2.imwrite(str(photographs / "a.jpg"), photograph)
    cv2.imwrite(str(photographs / "b.png"), photograph[:64])
    return photographs
