"""The examined machine: its files, commands and packages. A test can put another one in its place."""

import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from br2net.runtime.gpu import Gpu, driver_cuda_version, find_gpu

COMMAND_SECONDS = 2.0
_MOST_GPUS = 16


class Machine:
    """This machine."""

    def gpus(self) -> list[Gpu]:
        """Return the NVIDIA GPUs that the driver knows."""
        found: list[Gpu] = []
        while len(found) < _MOST_GPUS and (gpu := find_gpu(len(found))) is not None:
            found.append(gpu)
        return found

    def driver_cuda_version(self) -> tuple[int, int] | None:
        """Return the newest CUDA that the driver runs; None without a driver."""
        return driver_cuda_version()

    def read(self, path: str) -> str | None:
        """Return the text of a file without the zero bytes of the device tree; None if it cannot be read."""
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace").replace("\0", "").strip()
        except OSError:
            return None

    def glob(self, folder: str, pattern: str) -> list[str]:
        """Return paths in a folder, sorted."""
        return sorted(map(str, Path(folder).glob(pattern)))

    def exists(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return Path(path).exists()

    def may_use(self, path: str) -> bool:
        """Tell whether this user may read and write a file."""
        return os.access(path, os.R_OK | os.W_OK)

    def which(self, command: str) -> str | None:
        """Return the path of a command."""
        return shutil.which(command)

    def run(self, *command: str) -> str | None:
        """Return the output of a command; None if it is missing, fails, or takes longer than two seconds."""
        try:
            ended = subprocess.run(
                command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return ended.stdout.strip()

    def load(self, module: str) -> Any:
        """Import a module.

        Raises:
            ImportError: if it is not installed, or does not load.
        """
        return importlib.import_module(module)

    def version(self, package: str) -> str | None:
        """Return the version of an installed package; None if it is not installed."""
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            return None

    def is_editable(self, package: str) -> bool:
        """Tell whether a package is installed as links to its sources."""
        try:
            facts = json.loads(importlib.metadata.distribution(package).read_text("direct_url.json") or "{}")
        except importlib.metadata.PackageNotFoundError:
            return False
        return bool(facts.get("dir_info", {}).get("editable"))

    def jetson(self) -> str | None:
        """Return the model of a Jetson, for example `NVIDIA Jetson Orin Nano Developer Kit`; None elsewhere."""
        model = self.read("/proc/device-tree/model")
        return model if model and ("Jetson" in model or self.exists("/etc/nv_tegra_release")) else None
