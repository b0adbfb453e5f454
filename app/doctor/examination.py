"""All checks, in the order in which they are read."""

from br2net.doctor import cpu, gpu, video
from br2net.doctor.finding import Finding, State, fails, missing, works
from br2net.doctor.machine import Machine
from br2net.runtime.native import Status, status

_TENSORRT = ("GPU", "NVIDIA driver", "TensorRT", "pycuda")


def examine(machine: Machine, version: str, native: Status | None = None) -> list[Finding]:
    """Look at everything.

    Args:
        machine: this one, `Machine()`.
        version: of br2net.
        native: state of its native part; None to look.
    """
    native = status() if native is None else native
    jetson = machine.jetson()
    how = "links to its sources" if machine.is_editable("br2net") else "an installed package"
    place = ", ".join(filter(None, (machine.system(), machine.architecture(), jetson)))
    power = gpu.check_power(machine)
    findings = [
        works("br2net", f"{version}, {how}, on {place}"),
        cpu.check_native(native),
        gpu.check_gpu(machine),
        gpu.check_driver(machine),
        *([power] if power else []),
        gpu.check_tensorrt(machine),
        gpu.check_pycuda(machine),
        gpu.check_cuda_python(machine),
        gpu.check_nvcc(machine),
        cpu.check_kernels(native, machine),
        cpu.check_openvino(machine),
        cpu.check_onnxruntime(machine),
        cpu.check_torch(machine),
        *video.check_opencv(machine),
        *video.check_cameras(machine),
    ]
    return [*findings, summary(findings)]


def summary(findings: list[Finding]) -> Finding:
    """What models can be run with here."""
    states = {item.name: item.state for item in findings}
    backends = {
        "tensorrt": all(states.get(name) is State.WORKS for name in _TENSORRT),
        "openvino": states.get("OpenVINO") is State.WORKS,
        "onnxruntime": states.get("ONNX Runtime") is State.WORKS,
        "torch": states.get("PyTorch") is State.WORKS,
    }
    running = [name for name, runs in backends.items() if runs]
    if not running:
        return fails("models", "nothing here runs a model", "pip install openvino")
    detail = f"run by {', '.join(running)}"
    if states.get("GPU") is State.WORKS and not backends["tensorrt"]:
        first = next(item for item in findings if item.name in _TENSORRT and item.state is not State.WORKS)
        return missing("models", f"{detail}; the GPU is not used, for {first.name} {first.state.value}", first.mend)
    return works("models", detail)
