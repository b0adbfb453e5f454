"""A GPU in host memory that really runs the CUDA kernels: their source, compiled for the CPU."""

import ctypes
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from br2net.runtime.cuda.interface import KernelArgument, Stream
from br2net.runtime.native import Status, installed

from ..cuda.host_memory import HostMemoryCuda, Memory, Operation, Thing, one_at_a_time
from ..cuda.ordering import RuleBroken

SOURCE = Path(__file__).with_name("emulation")


def build(folder: Path) -> ctypes.CDLL:
    """Compile the kernels for the CPU."""
    library = folder / "kernels.so"
    flags = ["-std=c++17", "-O1", "-ffp-contract=off", "-fPIC", "-shared", f"-I{SOURCE}"]
    subprocess.run(["c++", *flags, str(SOURCE / "emulation.cpp"), "-o", str(library)], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.emulate.restype = ctypes.c_size_t
    return loaded


def packed(arguments: Sequence[KernelArgument]) -> bytes:
    """The arguments as pycuda lays them out: scalars aligned, structures wherever the one before ends."""
    result = b""
    for item in arguments:
        if isinstance(item, np.void):
            result += bytes(item)
            continue
        code = "Q" if isinstance(item, int) else np.dtype(item.dtype).char.replace("L", "Q")
        size = struct.calcsize(code)
        result += bytes(-len(result) % size) + struct.pack(code, item)
    return result


class EmulatedModule(Thing):
    """The kernels; a launch is an operation of the stream, on the buffers that its arguments point into."""

    def __init__(self, cuda: "EmulatedCuda") -> None:
        super().__init__(cuda)
        self.library = cuda.library

    @one_at_a_time
    def launch(
        self,
        name: str,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: Sequence[KernelArgument],
        stream: Stream,
    ) -> None:
        self.check()
        if np.prod(block) > 1024 or min(*grid, *block) < 1 or grid[2] * block[2] > 1 or grid[1] > 65_535:
            raise RuleBroken(f"a grid of {grid} blocks of {block} threads")
        data = packed(arguments)

        def run() -> None:
            self.execute(name, grid, block, data)

        last = bytes(arguments[-1]) if isinstance(arguments[-1], np.void) else b""
        inputs = tuple(self.pointed_at(data[: len(data) - len(last)]))
        self.cuda.stream_of(stream).give(Operation(name, run, inputs, tuple(self.pointed_at(last))))

    def execute(self, name: str, grid: tuple[int, int, int], block: tuple[int, int, int], data: bytes) -> None:
        """Run a kernel at once."""
        used = self.library.emulate(name.encode(), grid[0] * block[0], grid[1] * block[1], data)
        if used != len(data):
            raise RuleBroken(f"{name} takes {used} bytes of arguments, not {len(data)}")

    def pointed_at(self, data: bytes) -> list[Memory]:
        """The buffers that a word of `data` points into."""
        words = np.frombuffer(data, np.uint64, len(data) // 8)
        memories = [item for item in self.cuda.things if isinstance(item, Memory) and item.is_open]
        return [item for item in memories if ((words - np.uint64(item.bytes.ctypes.data)) < item.size_bytes).any()]


class EmulatedCuda(HostMemoryCuda):
    """`HostMemoryCuda` with kernels that run."""

    library: ctypes.CDLL

    def load_module(self, image: bytes) -> EmulatedModule:  # type: ignore[override]
        return EmulatedModule(self)


def pretend_kernels_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernels compiled for the CPU stand for those that the installation lacks."""
    state = Status(True, True, "", "", "", ("sm_75",), "13.0", "")
    monkeypatch.setattr("br2net.runtime.native.cuda_kernels.status", lambda: state)
    monkeypatch.setattr("br2net.runtime.native.cuda_kernels.FATBIN", installed.LIBRARY)
