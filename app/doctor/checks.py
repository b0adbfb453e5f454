"""The checks of `br2net doctor`, in the order in which they are shown."""

import platform
import re

from br2net.doctor.finding import Finding, State, fails, missing, unused, works
from br2net.doctor.machine import Machine
from br2net.runtime.engine_file import RTX, TENSORRT, Library
from br2net.runtime.native import Status, status
from br2net.runtime.openvino.core import shared_core

_NVIDIA, _DISPLAY = "0x10de", "0x03"  # PCI vendor; first digits of the class of display controllers
_NO_GPU = "no NVIDIA GPU here"
_FOR_ENGINES = ("GPU", "NVIDIA driver", "TensorRT", "pycuda")
_ARGUS = "/tmp/argus_socket"


def examine(machine: Machine, version: str, native: Status | None = None) -> list[Finding]:
    """Run all checks.

    Args:
        machine: machine to examine, `Machine()` for this one.
        version: version of br2net.
        native: state of its native part; None to find out.
    """
    native = status() if native is None else native
    how = "links to its sources" if machine.is_editable("br2net") else "an installed package"
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    place = ", ".join(filter(None, (system, platform.machine(), machine.jetson())))
    power = check_power(machine)
    findings = [
        works("br2net", f"{version}, {how}, on {place}"),
        check_native(native),
        check_gpu(machine),
        check_driver(machine),
        *([power] if power else []),
        check_tensorrt(machine),
        check_pycuda(machine),
        check_cuda_python(machine),
        check_nvcc(machine),
        check_kernels(native, machine),
        check_openvino(machine),
        check_onnxruntime(machine),
        check_torch(machine),
        *check_opencv(machine),
        *check_cameras(machine),
    ]
    return [*findings, _summary(findings)]


def _summary(findings: list[Finding]) -> Finding:
    """Name the backends that can run models here."""
    states = {item.name: item.state for item in findings}
    backends = {
        "tensorrt": all(states.get(name) is State.WORKS for name in _FOR_ENGINES),
        "openvino": states.get("OpenVINO") is State.WORKS,
        "onnxruntime": states.get("ONNX Runtime") is State.WORKS,
        "torch": states.get("PyTorch") is State.WORKS,
    }
    running = [name for name, runs in backends.items() if runs]
    if not running:
        return fails("models", "nothing here runs a model", "pip install openvino")
    detail = f"run by {', '.join(running)}"
    if states.get("GPU") is State.WORKS and not backends["tensorrt"]:
        first = next(item for item in findings if item.name in _FOR_ENGINES and item.state is not State.WORKS)
        return missing("models", f"{detail}; the GPU is not used, for {first.name} {first.state.value}", first.fix)
    return works("models", detail)


def check_gpu(machine: Machine) -> Finding:
    """Find GPUs, or why none is seen."""
    gpus = machine.gpus()
    if gpus:
        return works("GPU", ", ".join(f"{gpu.name} (compute capability {gpu.compute_capability})" for gpu in gpus))
    if machine.driver_cuda_version() is not None and machine.glob("/dev", "nvidia[0-9]*"):
        return fails(
            "GPU", "the driver is here and gives no GPU", "restart the machine, then see what `nvidia-smi` says"
        )
    if machine.exists("/proc/driver/nvidia/version"):
        return fails("GPU", "the system has a driver, and this container sees no GPU", "docker run --gpus all …")
    if _has_nvidia_card(machine):
        return fails("GPU", "an NVIDIA card without a driver", "sudo ubuntu-drivers install, then restart the machine")
    if machine.jetson():
        return fails("GPU", "the Jetson's GPU is not seen", "docker run --runtime nvidia …, or flash JetPack anew")
    return unused("GPU", "no NVIDIA GPU; models run on the CPU")


def check_driver(machine: Machine) -> Finding:
    """Find the NVIDIA driver and the newest CUDA that it runs."""
    cuda = machine.driver_cuda_version()
    if cuda is None:
        return unused("NVIDIA driver", "none") if not _has_nvidia_card(machine) else fails(
            "NVIDIA driver", "none, and there is an NVIDIA card", "sudo ubuntu-drivers install, then restart the machine"
        )  # fmt: skip
    text = machine.read("/proc/driver/nvidia/version") or ""
    version = re.search(r"\b(\d{3}\.\d+(?:\.\d+)?)\b", text)
    detail = f"{version[1] if version else 'version unknown'}, runs CUDA up to {cuda[0]}.{cuda[1]}"
    if cuda < (12, 0):
        return fails("NVIDIA driver", f"{detail}; CUDA 12 is wanted", "install a driver of 525 or later")
    return works("NVIDIA driver", detail)


def check_tensorrt(machine: Machine) -> Finding:
    """Find TensorRT: `tensorrt` or TensorRT for RTX."""
    found, broken = [], []
    for flavour in (TENSORRT, RTX):
        try:
            found.append(Library(flavour, machine.load(flavour).__version__))
        except ModuleNotFoundError as error:
            if error.name is not None and error.name.split(".")[0] != flavour:
                broken.append(f"{flavour} lacks {error.name}")
        except (ImportError, OSError, AttributeError) as error:
            broken.append(f"{flavour} does not load ({_one_line(error)})")
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
    """Find pycuda, which holds the GPU's buffers."""
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
            f"it does not load ({_one_line(error)})",
            "pip install --force-reinstall --no-cache-dir --no-binary :all: pycuda",
        )
    version = ".".join(map(str, driver.get_version()))
    return works("pycuda", f"{machine.version('pycuda') or 'installed'}, compiled with CUDA {version}")


def check_cuda_python(machine: Machine) -> Finding:
    """Find cuda-python, which gives CUDA graphs."""
    line = "pip install 'cuda-python>=12.8'"
    try:
        machine.load("cuda.bindings.driver")
    except ModuleNotFoundError:
        return _needed(machine, "cuda-python", "not installed, so engines run without CUDA graphs", line)
    except (ImportError, RuntimeError) as error:
        if not machine.gpus():
            return unused("cuda-python", f"installed; {_NO_GPU}")
        return fails("cuda-python", f"it does not load ({_one_line(error)})", line)
    version = machine.version("cuda-bindings") or machine.version("cuda-python") or "installed"
    return works("cuda-python", version) if machine.gpus() else unused("cuda-python", f"{version}; {_NO_GPU}")


def check_nvcc(machine: Machine) -> Finding:
    """Find the CUDA compiler, which pycuda and the package's kernels need until both are installed."""
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
    """Read the power mode of a Jetson, which decides how fast it is; None elsewhere."""
    if machine.jetson() is None:
        return None
    text = machine.run("nvpmodel", "-q") or ""
    mode = re.search(r"NV Power Mode: *(\S+)\s+(\d+)?", text)
    if mode is None:
        return missing("power mode", "nvpmodel does not report it", "sudo nvpmodel -q")
    if mode[1].upper().startswith("MAXN"):
        return works("power mode", mode[1])
    return works("power mode", f"{mode[1]}, not the fastest", "sudo nvpmodel -m 0 && sudo jetson_clocks")


def check_openvino(machine: Machine) -> Finding:
    """Find OpenVINO and its devices."""
    line = "pip install openvino"
    try:
        openvino = machine.load("openvino")
        core = shared_core(openvino.Core)
        devices = [f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})" for name in core.available_devices]
    except ModuleNotFoundError:
        return missing("OpenVINO", "not installed", line)
    except (ImportError, RuntimeError) as error:
        return fails("OpenVINO", f"it does not load ({_one_line(error)})", "pip install --force-reinstall openvino")
    version = machine.version("openvino") or "installed"
    if not devices:
        return fails("OpenVINO", f"{version}, which finds no device", "pip install --force-reinstall openvino")
    return works("OpenVINO", f"{version} on {', '.join(devices)}")


def check_onnxruntime(machine: Machine) -> Finding:
    """Find ONNX Runtime and its providers."""
    try:
        runtime = machine.load("onnxruntime")
        providers = [name.removesuffix("ExecutionProvider") for name in runtime.get_available_providers()]
    except ModuleNotFoundError:
        return unused(
            "ONNX Runtime", "not installed; `pip install onnxruntime` brings it, a second opinion to OpenVINO"
        )
    except (ImportError, AttributeError) as error:
        line = "pip install --force-reinstall onnxruntime"
        return fails("ONNX Runtime", f"it does not load ({_one_line(error)})", line)
    if machine.version("onnxruntime") and machine.version("onnxruntime-gpu"):
        both = "onnxruntime and onnxruntime-gpu are both installed, in one folder"
        one = "onnxruntime-gpu" if machine.gpus() else "onnxruntime"
        return fails("ONNX Runtime", both, f"pip uninstall onnxruntime onnxruntime-gpu && pip install {one}")
    return works("ONNX Runtime", f"{runtime.__version__} with {', '.join(providers)}")


def check_torch(machine: Machine) -> Finding:
    """Find PyTorch, which checkpoints and export need. It is not imported: that takes seconds."""
    version = machine.version("torch")
    if version is None:
        return unused("PyTorch", "not installed; training and export need it: pip install 'br2net[build]'")
    return works("PyTorch", version)


def check_native(status: Status) -> Finding:
    """Find the package's C++ library for the CPU."""
    name = "native CPU module"
    if status.used:
        return works(name, f"compiled by {status.how}")
    if status.built:
        return works(name, f"{status.reason}; OpenCV does its work, slower")
    return missing(name, f"{status.reason}; OpenCV does its work, slower", status.remedy)


def check_kernels(status: Status, machine: Machine) -> Finding:
    """Find the package's CUDA kernels."""
    name = "CUDA kernels"
    if status.fatbin_architectures:
        detail = f"{', '.join(status.fatbin_architectures)} by nvcc {status.nvcc}"
        return works(name, detail) if machine.gpus() else unused(name, f"{detail}; no NVIDIA GPU here")
    if machine.gpus():
        return missing(name, status.fatbin_reason, "install the CUDA toolkit (nvcc), then install br2net again")
    return unused(name, f"{status.fatbin_reason}; no NVIDIA GPU here")


def check_opencv(machine: Machine) -> list[Finding]:
    """Find OpenCV, and whether it was built with FFmpeg, GStreamer and windows."""
    try:
        cv2 = machine.load("cv2")
        build = cv2.getBuildInformation()
    except ModuleNotFoundError:
        return [missing("OpenCV", "not installed", "pip install opencv-python")]
    except (ImportError, AttributeError) as error:
        line = (
            "sudo apt install libgl1 libglib2.0-0"
            if "lib" in str(error)
            else "pip install --force-reinstall opencv-python"
        )
        return [fails("OpenCV", f"it does not load ({_one_line(error)})", line)]
    ffmpeg, gstreamer, windows = (_built_with(build, name) for name in ("FFMPEG", "GStreamer", "GUI"))
    fix = "pip install --force-reinstall opencv-python"
    return [
        works("OpenCV", f"{cv2.__version__}, {f'windows by {windows}' if windows else 'no windows (--show)'}"),
        works("FFmpeg", "in OpenCV: video files, RTSP and HTTP streams are read")
        if ffmpeg
        else missing("FFmpeg", "OpenCV has none, so it reads no video files or streams", fix),
        _gstreamer(machine, gstreamer),
    ]


def _built_with(build: str, name: str) -> str:
    """Return the version or name of a part in OpenCV's build information; empty for NO."""
    found = re.search(rf"^\s*{name}:\s*(.*?)\s*$", build, re.MULTILINE)
    text = found[1] if found else "NO"
    return "" if text.startswith(("NO", "NONE")) else text.removeprefix("YES").strip(" ()") or "yes"


def _gstreamer(machine: Machine, version: str) -> Finding:
    """Find GStreamer, which only CSI cameras and pipelines of the user need."""
    if version:
        return works("GStreamer", f"in OpenCV, {version}")
    detail = "OpenCV has none; only csi:// cameras and GStreamer pipelines need it"
    if machine.jetson():
        return missing("GStreamer", detail, "pip uninstall opencv-python && sudo apt install python3-opencv")
    return unused("GStreamer", detail)


def check_cameras(machine: Machine) -> list[Finding]:
    """Find cameras of the system, and the service of a Jetson's CSI cameras."""
    findings, names = [], []
    for path in machine.glob("/dev", "video[0-9]*"):
        node = path.removeprefix("/dev/")
        if (machine.read(f"/sys/class/video4linux/{node}/index") or "0") != "0":
            continue  # a second node of the same camera, of metadata
        name = machine.read(f"/sys/class/video4linux/{node}/name") or "unnamed"
        if machine.may_use(path):
            names.append(f"{path} ({name})")
        else:
            line = "sudo usermod -aG video $USER, then log in again"
            findings.append(fails("camera", f"{path} ({name}): this user may not use it", line))
    if names:
        findings.append(works("camera", ", ".join(names)))
    elif not findings:
        findings.append(unused("camera", "none at /dev/video*; streams, files and folders work as sources"))
    if machine.jetson():
        if machine.exists(_ARGUS):
            findings.append(works("CSI cameras", "nvargus-daemon runs"))
        else:
            line = "sudo systemctl restart nvargus-daemon"
            fix = "docker run -v /tmp/argus_socket:/tmp/argus_socket …" if machine.exists("/.dockerenv") else line
            findings.append(missing("CSI cameras", "nvargus-daemon does not run", fix))
    return findings


def _has_nvidia_card(machine: Machine) -> bool:
    """Tell whether an NVIDIA graphics card is plugged in, with or without a driver."""
    for folder in machine.glob("/sys/bus/pci/devices", "*"):
        if machine.read(f"{folder}/vendor") == _NVIDIA and (machine.read(f"{folder}/class") or "").startswith(_DISPLAY):
            return True
    return False


def _one_line(error: BaseException) -> str:
    """Return the first sentence of an exception's text in one line."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__


def _needed(machine: Machine, name: str, detail: str, line: str) -> Finding:
    """Return `missing` on a machine with a GPU, otherwise `unused`."""
    wanted = bool(machine.gpus()) or _has_nvidia_card(machine) or machine.jetson() is not None
    return missing(name, detail, line) if wanted else unused(name, f"{detail}; {_NO_GPU}")


def _tensorrt_line(machine: Machine) -> str:
    if machine.jetson():
        return "sudo apt install python3-libnvinfer"
    cuda = machine.driver_cuda_version()
    return f"pip install 'tensorrt-cu{12 if cuda is not None and cuda[0] < 13 else 13}>=10.3'"


def _toolkit_line(machine: Machine) -> str:
    return "sudo apt install cuda-toolkit" if machine.jetson() else "sudo apt install nvidia-cuda-toolkit"
