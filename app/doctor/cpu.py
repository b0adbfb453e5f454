"""What runs models without an NVIDIA GPU: OpenVINO, ONNX Runtime, PyTorch; and the package's native part."""

from br2net.doctor.finding import Finding, fails, missing, unused, works
from br2net.doctor.gpu import one_line
from br2net.doctor.machine import Machine
from br2net.runtime.native import Status
from br2net.runtime.openvino.core import shared_core


def check_openvino(machine: Machine) -> Finding:
    """OpenVINO and its devices."""
    line = "pip install openvino"
    try:
        openvino = machine.load("openvino")
        core = shared_core(openvino.Core)
        devices = [f"{name} ({core.get_property(name, 'FULL_DEVICE_NAME')})" for name in core.available_devices]
    except ModuleNotFoundError:
        return missing("OpenVINO", "not installed", line)
    except (ImportError, RuntimeError) as error:
        return fails("OpenVINO", f"it does not load ({one_line(error)})", "pip install --force-reinstall openvino")
    version = machine.version("openvino") or "installed"
    if not devices:
        return fails("OpenVINO", f"{version}, which finds no device", "pip install --force-reinstall openvino")
    return works("OpenVINO", f"{version} on {', '.join(devices)}")


def check_onnxruntime(machine: Machine) -> Finding:
    """ONNX Runtime and what it can run on."""
    try:
        runtime = machine.load("onnxruntime")
        providers = [name.removesuffix("ExecutionProvider") for name in runtime.get_available_providers()]
    except ModuleNotFoundError:
        return unused(
            "ONNX Runtime", "not installed; `pip install onnxruntime` brings it, a second opinion to OpenVINO"
        )
    except (ImportError, AttributeError) as error:
        line = "pip install --force-reinstall onnxruntime"
        return fails("ONNX Runtime", f"it does not load ({one_line(error)})", line)
    if machine.version("onnxruntime") and machine.version("onnxruntime-gpu"):
        both = "onnxruntime and onnxruntime-gpu are both installed, in one folder"
        one = "onnxruntime-gpu" if machine.gpus() else "onnxruntime"
        return fails("ONNX Runtime", both, f"pip uninstall onnxruntime onnxruntime-gpu && pip install {one}")
    return works("ONNX Runtime", f"{runtime.__version__} with {', '.join(providers)}")


def check_torch(machine: Machine) -> Finding:
    """PyTorch, which checkpoints and export need; it is not imported, which takes seconds."""
    version = machine.version("torch")
    if version is None:
        return unused("PyTorch", "not installed; training and export need it: pip install 'br2net[build]'")
    return works("PyTorch", version)


def check_native(status: Status) -> Finding:
    """The package's C++ part for the CPU."""
    name = "native CPU module"
    if status.used:
        return works(name, f"compiled by {status.how}")
    if status.built:
        return works(name, f"{status.reason}; OpenCV does its work, slower")
    return missing(name, f"{status.reason}; OpenCV does its work, slower", status.remedy)


def check_kernels(status: Status, machine: Machine) -> Finding:
    """The package's CUDA kernels."""
    name = "CUDA kernels"
    if status.fatbin_architectures:
        detail = f"{', '.join(status.fatbin_architectures)} by nvcc {status.nvcc}"
        return works(name, detail) if machine.gpus() else unused(name, f"{detail}; no NVIDIA GPU here")
    if machine.gpus():
        return missing(name, status.fatbin_reason, "install the CUDA toolkit (nvcc), then install br2net again")
    return unused(name, f"{status.fatbin_reason}; no NVIDIA GPU here")
