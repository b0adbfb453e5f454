"""GPU, driver, and what TensorRT engines need: TensorRT, pycuda, cuda-python, nvcc; the power mode of a Jetson."""

import re

from br2net.doctor.finding import Finding, fails, missing, unused, works
from br2net.doctor.machine import Machine
from br2net.runtime.engine_file import RTX, TENSORRT, Library

_NVIDIA, _DISPLAY = "0x10de", "0x03"  # PCI vendor; class of display controllers begins so
_NO_GPU = "no NVIDIA GPU here"


def check_gpu(machine: Machine) -> Finding:
    """The GPU, or why none is seen."""
    gpus = machine.gpus()
    if gpus:
        return works("GPU", ", ".join(f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in gpus))
    if machine.driver_cuda_version() is not None and machine.glob("/dev", "nvidia[0-9]*"):
        return fails(
            "GPU", "the driver is here and gives no GPU", "restart the machine, then see what `nvidia-smi` says"
        )
    if machine.exists("/proc/driver/nvidia/version"):
        return fails("GPU", "the system has a driver, and this container sees no GPU", "docker run --gpus all …")
    if has_nvidia_card(machine):
        return fails("GPU", "an NVIDIA card without a driver", "sudo ubuntu-drivers install, then restart the machine")
    if machine.jetson():
        return fails("GPU", "the Jetson's GPU is not seen", "docker run --runtime nvidia …, or flash JetPack anew")
    return unused("GPU", "no NVIDIA GPU; models run on the CPU")


def check_driver(machine: Machine) -> Finding:
    """The NVIDIA driver and the newest CUDA that it runs."""
    cuda = machine.driver_cuda_version()
    if cuda is None:
        return unused("NVIDIA driver", "none") if not has_nvidia_card(machine) else fails(
            "NVIDIA driver", "none, and there is an NVIDIA card", "sudo ubuntu-drivers install, then restart the machine"
        )  # fmt: skip
    text = machine.read("/proc/driver/nvidia/version") or ""
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    detail = f"{version[1] if version else 'version unknown'}, runs CUDA up to {cuda[0]}.{cuda[1]}"
    if cuda < (12, 0):
        return fails("NVIDIA driver", f"{detail}; CUDA 12 is wanted", "install a driver of 525 or later")
    return works("NVIDIA driver", detail)


def check_tensorrt(machine: Machine) -> Finding:
    """TensorRT, and which: `tensorrt` or TensorRT for RTX."""
    found, broken = [], []
    for flavour in (TENSORRT, RTX):
        try:
            found.append(Library(flavour, machine.load(flavour).__version__))
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.split(".")[0] != flavour:
                broken.append(f"{flavour} lacks {error.name}")
        except (ImportError, OSError, AttributeError) as error:
            broken.append(f"{flavour} does not load ({one_line(error)})")
    if not found:
        if broken:
            return fails("TensorRT", "; ".join(broken), _tensorrt_line(machine))
        return _needed(machine, "TensorRT", "not installed", _tensorrt_line(machine))
    detail = " and ".join(map(str, found))
    cuda = machine.driver_cuda_version()
    if cuda is not None and cuda[0] < 13 and machine.version("tensorrt-cu13-libs") is not None:
        detail += f", built for CUDA 13, and the driver runs CUDA up to {cuda[0]}.{cuda[1]}"
        return fails("TensorRT", detail, "pip uninstall tensorrt-cu13 tensorrt-cu13-libs && pip install tensorrt-cu12")
    if found[0].flavour == TENSORRT and found[0].release() < (10, 3):
        return fails("TensorRT", f"{detail}; 10.3 or later is wanted", _tensorrt_line(machine))
    if not machine.gpus():
        return unused("TensorRT", f"{detail}; {_NO_GPU}")
    if len(found) > 1:
        detail += f"; {found[0].flavour} is used, BR2NET_TENSORRT={RTX} chooses the other"
    return works("TensorRT", detail)


def check_pycuda(machine: Machine) -> Finding:
    """pycuda, which holds the GPU's buffers."""
    try:
        driver = machine.load("pycuda.driver")
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "pycuda":
            line = "pip install pycuda" if machine.which("nvcc") else f"{_toolkit_line(machine)} && pip install pycuda"
            return _needed(machine, "pycuda", "not installed", line)
        return fails("pycuda", f"it lacks {error.name}", "pip install --force-reinstall pycuda")
    except ImportError as error:
        if not machine.gpus():
            return unused("pycuda", f"installed; it loads with an NVIDIA driver only, and there is {_NO_GPU}")
        return fails(
            "pycuda",
            f"it does not load ({one_line(error)})",
            "pip install --force-reinstall --no-cache-dir --no-binary :all: pycuda",
        )
    version = ".".join(map(str, driver.get_version()))
    return works("pycuda", f"{machine.version('pycuda') or 'installed'}, compiled with CUDA {version}")


def check_cuda_python(machine: Machine) -> Finding:
    """cuda-python, which gives CUDA graphs."""
    line = "pip install 'cuda-python>=12.8'"
    try:
        machine.load("cuda.bindings.driver")
    except ModuleNotFoundError:
        return _needed(machine, "cuda-python", "not installed, so engines run without CUDA graphs", line)
    except (ImportError, RuntimeError) as error:
        if not machine.gpus():
            return unused("cuda-python", f"installed; {_NO_GPU}")
        return fails("cuda-python", f"it does not load ({one_line(error)})", line)
    version = machine.version("cuda-bindings") or machine.version("cuda-python") or "installed"
    return works("cuda-python", version) if machine.gpus() else unused("cuda-python", f"{version}; {_NO_GPU}")


def check_nvcc(machine: Machine) -> Finding:
    """The CUDA compiler, for pycuda and for the package's own kernels; it is not needed once both are installed."""
    path = machine.which("nvcc") or next(iter(machine.glob("/usr/local", "cuda*/bin/nvcc")), None)
    if path is None:
        return _needed(machine, "nvcc", "not installed; without it pycuda and the kernels cannot be compiled",
                       _toolkit_line(machine))  # fmt: skip
    release = re.search(r"release ([\d.]+)", machine.run(path, "--version") or "")
    if release is None:
        return fails("nvcc", f"{path} does not run", _toolkit_line(machine))
    if machine.which("nvcc") is None:
        folder = path.removesuffix("/nvcc")
        return works("nvcc", f"CUDA {release[1]} in {folder}, which is not in PATH", f"export PATH={folder}:$PATH")
    return works("nvcc", f"CUDA {release[1]}")


def check_power(machine: Machine) -> Finding | None:
    """The power mode of a Jetson, which decides how fast it is; None elsewhere."""
    if machine.jetson() is None:
        return None
    text = machine.run("nvpmodel", "-q") or ""
    mode = re.search(r"NV Power Mode: *(\S+)\s+(\d+)?", text)
    if mode is None:
        return missing("power mode", "nvpmodel does not tell it", "sudo nvpmodel -q")
    if mode[1].upper().startswith("MAXN"):
        return works("power mode", mode[1])
    return works("power mode", f"{mode[1]}, not the fastest", "sudo nvpmodel -m 0 && sudo jetson_clocks")


def has_nvidia_card(machine: Machine) -> bool:
    """Whether an NVIDIA graphics card is plugged in, driver or not."""
    for folder in machine.glob("/sys/bus/pci/devices", "*"):
        if machine.read(f"{folder}/vendor") == _NVIDIA and (machine.read(f"{folder}/class") or "").startswith(_DISPLAY):
            return True
    return False


def one_line(error: BaseException) -> str:
    """An exception's text in one line, without the ends that follow a full stop."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__


def _needed(machine: Machine, name: str, detail: str, line: str) -> Finding:
    """Missing where there is a GPU; else there is no use for it."""
    wanted = bool(machine.gpus()) or has_nvidia_card(machine) or machine.jetson() is not None
    return missing(name, detail, line) if wanted else unused(name, f"{detail}; {_NO_GPU}")


def _tensorrt_line(machine: Machine) -> str:
    if machine.jetson():
        return "sudo apt install python3-libnvinfer"
    cuda = machine.driver_cuda_version()
    return f"pip install 'tensorrt-cu{12 if cuda is not None and cuda[0] < 13 else 13}>=10.3'"


def _toolkit_line(machine: Machine) -> str:
    return "sudo apt install cuda-toolkit" if machine.jetson() else "sudo apt install nvidia-cuda-toolkit"
