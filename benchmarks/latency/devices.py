"""Published peaks of devices that are not here, for estimates: dense, without sparsity, by NVIDIA's own documents."""

from dataclasses import dataclass

from br2net.benchmarks.latency.roofline import Copy, Peaks
from br2net.errors import InputError


@dataclass(frozen=True)
class PublishedDevice:
    """A device by its maker's figures.

    Attributes:
        tera_ops: dense operations per second by precision, in 1e12; a multiply-accumulate is two of them.
        memory_gb_per_second: bandwidth, 1e9 bytes per second.
        source: the document.
        note: what was derived rather than printed there.
    """

    title: str
    tera_ops: dict[str, float]
    memory_gb_per_second: float
    source: str
    note: str = ""

    def peaks(self) -> Peaks:
        """For the roofline."""
        copy = Copy(1 << 30, self.memory_gb_per_second * 1e9)
        macs = {precision: ops * 1e12 / 2.0 for precision, ops in self.tera_ops.items()}
        return Peaks(macs, (copy,), self.source)


_SPARSE = "dense is half of the printed sparse figure"
_ORIN = "fp32 from 128 multiply-adds a clock and multiprocessor, fp16 half of int8"

DEVICES: dict[str, PublishedDevice] = {
    "orin-nano": PublishedDevice(
        "Jetson Orin Nano 8GB (Super, MAXN)",
        {"fp32": 2.09, "fp16": 16.7, "int8": 33.0},
        102.0,
        "NVIDIA, Jetson Orin Nano Super Developer Kit data sheet (67 sparse INT8 TOPS, 1024 cores at 1.02 GHz, 102 GB/s)",
        f"{_SPARSE}; {_ORIN}",
    ),
    "orin-nano-15w": PublishedDevice(
        "Jetson Orin Nano 8GB (15 W)",
        {"fp32": 1.28, "fp16": 10.0, "int8": 20.0},
        68.0,
        "NVIDIA, Jetson Orin Nano Series data sheet (40 sparse INT8 TOPS, 1024 cores at 625 MHz, 68 GB/s)",
        f"{_SPARSE}; {_ORIN}",
    ),
    "orin-nx": PublishedDevice(
        "Jetson Orin NX 16GB (25 W, GPU alone)",
        {"fp32": 1.88, "fp16": 15.0, "int8": 30.0},
        102.4,
        "NVIDIA, Jetson Orin NX Series data sheet (GPU: 60 of the 100 sparse INT8 TOPS, 1024 cores at 918 MHz, 102.4 GB/s)",
        f"{_SPARSE}; {_ORIN}; the DLAs are left out",
    ),
    "agx-orin": PublishedDevice(
        "Jetson AGX Orin 64GB (MAXN, GPU alone)",
        {"fp32": 5.3, "fp16": 42.5, "int8": 85.0},
        204.8,
        "NVIDIA, Jetson AGX Orin Series technical brief (GPU: 170 of the 275 sparse INT8 TOPS, 5.3 FP32 TFLOPS, 204.8 GB/s)",
        f"{_SPARSE}; fp16 half of int8; the DLAs are left out",
    ),
    "thor": PublishedDevice(
        "Jetson AGX Thor (T5000)",
        {"fp32": 8.06, "fp16": 258.0, "int8": 517.0},
        273.0,
        "NVIDIA, Jetson Thor data sheet (2070 sparse FP4 TFLOPS, 2560 cores at 1.57 GHz, 273 GB/s)",
        "8-bit a quarter of the sparse FP4 figure, fp16 half of that, fp32 from cores and clock",
    ),
    "rtx-4060": PublishedDevice(
        "GeForce RTX 4060",
        {"fp32": 15.1, "fp16": 60.5, "int8": 121.0},
        272.0,
        "NVIDIA, GeForce RTX 4060 product page (15 shader TFLOPS, 242 AI TOPS, 272 GB/s)",
        f"{_SPARSE}; fp16 half of int8",
    ),
    "rtx-4090": PublishedDevice(
        "GeForce RTX 4090",
        {"fp32": 82.6, "fp16": 330.3, "int8": 660.6},
        1008.0,
        "NVIDIA, Ada GPU architecture white paper, appendix A",
    ),
    "t4": PublishedDevice("Tesla T4", {"fp32": 8.1, "fp16": 65.0, "int8": 130.0}, 320.0, "NVIDIA, Tesla T4 data sheet"),
    "l4": PublishedDevice("L4", {"fp32": 30.3, "fp16": 121.0, "int8": 242.5}, 300.0, "NVIDIA, L4 data sheet", _SPARSE),
    "titan-xp": PublishedDevice(
        "Titan Xp, the paper's GPU",
        {"fp32": 12.15},
        547.7,
        "NVIDIA, Titan Xp product page (3840 cores, 1582 MHz, 547.7 GB/s)",
        "fp32 from cores and clock",
    ),
}


def find_device(name: str) -> PublishedDevice:
    """A device by its short name.

    Raises:
        InputError: if it is not known.
    """
    if name not in DEVICES:
        raise InputError(f"The peaks of {name} are not known; there are {', '.join(DEVICES)}.")
    return DEVICES[name]
