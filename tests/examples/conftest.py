"""Running an example as a user does."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Example = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def example() -> Example:
    """Runs `examples/NAME.py` with arguments."""

    def run(name: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        path = Path(__file__).resolve().parents[2] / "examples" / f"{name}.py"
        command = [sys.executable, str(path), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    return run
