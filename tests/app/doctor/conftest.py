from dataclasses import dataclass, field
from fnmatch import fnmatch
from types import SimpleNamespace
from typing import Any

import pytest

from br2net.doctor.machine import Machine
from br2net.runtime.gpu import Gpu

ORIN = Gpu("Orin", "8.7")
RTX_4090 = Gpu("NVIDIA GeForce RTX 4090", "8.9")


@dataclass
class FakeMachine(Machine):
    """Another machine: what is not given is not there."""

    cards: list[Gpu] = field(default_factory=list)
    cuda: tuple[int, int] | None = None
    files: dict[str, str] = field(default_factory=dict)
    locked: set[str] = field(default_factory=set)
    commands: dict[tuple[str, ...], str] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)  # an exception is raised
    versions: dict[str, str] = field(default_factory=dict)

    def gpus(self) -> list[Gpu]:
        return self.cards

    def driver_cuda_version(self) -> tuple[int, int] | None:
        return self.cuda

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def glob(self, folder: str, pattern: str) -> list[str]:
        return sorted(path for path in self.files if fnmatch(path, f"{folder}/{pattern}"))

    def exists(self, path: str) -> bool:
        return path in self.files

    def may_use(self, path: str) -> bool:
        return path not in self.locked

    def which(self, command: str) -> str | None:
        return next((f"/usr/bin/{command}" for words in self.commands if words[0] == f"/usr/bin/{command}"), None)

    def run(self, *command: str) -> str | None:
        return self.commands.get(command)

    def load(self, module: str) -> Any:
        if module not in self.modules:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module.split(".")[0])
        if isinstance(self.modules[module], BaseException):
            raise self.modules[module]
        return self.modules[module]

    def version(self, package: str) -> str | None:
        return self.versions.get(package)

    def is_editable(self, package: str) -> bool:
        return False


def tensorrt(version: str) -> SimpleNamespace:
    return SimpleNamespace(__version__=version)


def build_information(ffmpeg: str = "YES", gstreamer: str = "NO", gui: str = "QT5") -> str:
    """Lines as cv2.getBuildInformation() prints them."""
    lines = (f"  GUI:      {gui}", "  Video I/O:", f"    FFMPEG:      {ffmpeg}", f"    GStreamer:      {gstreamer}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def desktop() -> FakeMachine:
    """A desktop on which everything works."""
    return FakeMachine(
        cards=[RTX_4090],
        cuda=(13, 0),
        files={
            "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23",
            "/dev/video0": "",
            "/sys/class/video4linux/video0/index": "0",
            "/sys/class/video4linux/video0/name": "HD Webcam",
            "/dev/video1": "",
            "/sys/class/video4linux/video1/index": "1",
        },
        commands={("/usr/bin/nvcc", "--version"): "Cuda compilation tools, release 13.0, V13.0.88"},
        modules={
            "tensorrt": tensorrt("10.13.3.9"),
            "pycuda.driver": SimpleNamespace(get_version=lambda: (13, 0, 0)),
            "cuda.bindings.driver": SimpleNamespace(),
            "openvino": SimpleNamespace(
                Core=lambda: SimpleNamespace(available_devices=["CPU"], get_property=lambda name, key: "Ryzen")
            ),
            "onnxruntime": SimpleNamespace(
                __version__="1.24", get_available_providers=lambda: ["CPUExecutionProvider"]
            ),
            "cv2": SimpleNamespace(__version__="5.0.0", getBuildInformation=build_information),
        },
        versions={"pycuda": "2026.1", "cuda-bindings": "13.4.4", "openvino": "2026.4.1", "torch": "2.13.0"},
    )


@pytest.fixture
def jetson() -> FakeMachine:
    """A Jetson whose JetPack is there, and nothing else of ours."""
    return FakeMachine(
        cards=[ORIN],
        cuda=(12, 6),
        files={
            "/proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit",
            "/etc/nv_tegra_release": "# R36",
            "/tmp/argus_socket": "",
        },
        commands={("nvpmodel", "-q"): "NV Power Mode: MAXN\n0"},
        modules={"tensorrt": tensorrt("10.3.0")},
    )
