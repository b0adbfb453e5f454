"""Each check of `br2net doctor` on machines that are made up."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from br2net.doctor import Finding, State, examine
from br2net.doctor.machine import Machine
from br2net.runtime.native import Status

from .conftest import RTX_4090, FakeMachine, build_information, tensorrt

BUILT = Status(True, True, "GNU 12.2.0, avx2", "", "", ("sm_89", "compute_121"), "13.0.88", "")
NOT_BUILT = Status(False, False, "", "no C++ compiler was found", "install CMake", (), "", "no nvcc was found")
CARD = {"/sys/bus/pci/devices/0000:01:00.0": "", "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de",
        "/sys/bus/pci/devices/0000:01:00.0/class": "0x030000"}  # fmt: skip


def found(machine: Machine, native: Status = BUILT) -> dict[str, Finding]:
    return {item.name: item for item in examine(machine, "0.1.0", native)}


def test_a_desktop_on_which_everything_works_has_nothing_to_fix(desktop: FakeMachine) -> None:
    findings = found(desktop)
    assert {item.state for item in findings.values()} <= {State.WORKS, State.UNUSED}
    assert [item for item in findings.values() if item.fix] == []
    assert findings["models"].detail == "run by tensorrt, openvino, onnxruntime, torch"
    assert findings["GPU"].detail == "NVIDIA GeForce RTX 4090 (compute capability 8.9)"
    assert findings["NVIDIA driver"].detail == "580.95.05, runs CUDA up to 13.0"
    assert findings["camera"].detail == "/dev/video0 (HD Webcam)"


def test_a_jetson_lacks_what_jetpack_does_not_bring(jetson: FakeMachine) -> None:
    findings = found(jetson, NOT_BUILT)
    assert findings["TensorRT"].state is State.WORKS
    assert findings["pycuda"].fix.endswith("&& pip install pycuda")
    assert findings["cuda-python"].fix == "pip install 'cuda-python>=12.8'"
    assert findings["native CPU module"].fix == "install CMake"
    assert findings["CUDA kernels"].state is State.MISSING
    assert findings["models"].state is State.FAILS
    assert findings["CSI cameras"].state is State.WORKS
    assert "Jetson Orin Nano" in findings["br2net"].detail


def test_every_thing_that_is_missing_or_fails_has_one_line_that_fixes_it(
    desktop: FakeMachine, jetson: FakeMachine
) -> None:
    machines = [desktop, jetson, FakeMachine(), FakeMachine(files=CARD), replace(jetson, files={}, modules={})]
    for machine in machines:
        for native in (BUILT, NOT_BUILT):
            for item in examine(machine, "0.1.0", native):
                assert "\n" not in item.detail + item.fix
                if item.state in (State.MISSING, State.FAILS):
                    assert item.fix, item


def test_a_machine_without_a_gpu_needs_nothing_of_nvidia(desktop: FakeMachine) -> None:
    findings = found(
        replace(desktop, cards=[], cuda=None, files={}, modules={**desktop.modules, "tensorrt": ImportError()})
    )
    for name in ("GPU", "NVIDIA driver", "CUDA kernels", "cuda-python"):
        assert findings[name].state is State.UNUSED, findings[name]
    assert findings["models"].detail == "run by openvino, onnxruntime, torch"


def test_a_card_without_a_driver_is_seen(desktop: FakeMachine) -> None:
    findings = found(replace(desktop, cards=[], cuda=None, files=CARD))
    assert findings["GPU"].state is findings["NVIDIA driver"].state is State.FAILS
    assert "ubuntu-drivers" in findings["GPU"].fix


def test_a_container_without_the_gpu_is_seen(desktop: FakeMachine) -> None:
    finding = found(replace(desktop, cards=[], cuda=None))["GPU"]
    assert finding.fix.startswith("docker run --gpus all")


def test_a_driver_that_is_too_old_is_named(desktop: FakeMachine) -> None:
    finding = found(replace(desktop, cuda=(11, 4)))["NVIDIA driver"]
    assert finding.state is State.FAILS and "11.4; CUDA 12 is wanted" in finding.detail


@pytest.mark.parametrize(
    ("modules", "state", "words"),
    [
        ({}, State.MISSING, "not installed"),
        ({"tensorrt": tensorrt("8.6.1")}, State.FAILS, "10.3 or later"),
        ({"tensorrt": ImportError("libnvinfer.so.10: cannot open shared object file")}, State.FAILS, "libnvinfer"),
        ({"tensorrt": ModuleNotFoundError("x", name="tensorrt_libs")}, State.FAILS, "lacks tensorrt_libs"),
        ({"tensorrt_rtx": tensorrt("1.7.1")}, State.WORKS, "TensorRT for RTX 1.7.1"),
        ({"tensorrt": tensorrt("11.4.0"), "tensorrt_rtx": tensorrt("1.7.1")}, State.WORKS, "BR2NET_TENSORRT"),
    ],
)
def test_tensorrt_is_told_with_its_flavour(
    desktop: FakeMachine, modules: dict[str, object], state: State, words: str
) -> None:
    others = {name: module for name, module in desktop.modules.items() if name != "tensorrt"}
    finding = found(replace(desktop, modules=others | modules))["TensorRT"]
    assert (finding.state, words in finding.detail) == (state, True), finding


def test_tensorrt_of_another_cuda_than_the_drivers_is_seen(desktop: FakeMachine) -> None:
    machine = replace(desktop, cuda=(12, 6), versions={**desktop.versions, "tensorrt-cu13-libs": "10.13.3.9"})
    finding = found(machine)["TensorRT"]
    assert finding.state is State.FAILS and "install tensorrt-cu12" in finding.fix


def test_a_gpu_that_is_not_used_says_for_lack_of_what(desktop: FakeMachine) -> None:
    modules = {name: module for name, module in desktop.modules.items() if name != "pycuda.driver"}
    finding = found(replace(desktop, modules=modules))["models"]
    assert finding.state is State.MISSING
    assert finding.detail == "run by openvino, onnxruntime, torch; the GPU is not used, for pycuda missing"
    assert finding.fix == "pip install pycuda"


def test_pycuda_that_does_not_load_is_seen(desktop: FakeMachine) -> None:
    modules = {**desktop.modules, "pycuda.driver": ImportError("undefined symbol: cuFoo_v2")}
    finding = found(replace(desktop, modules=modules))["pycuda"]
    assert finding.state is State.FAILS and "undefined symbol" in finding.detail


def test_nvcc_outside_the_path_is_found(desktop: FakeMachine) -> None:
    path = "/usr/local/cuda-13.0/bin/nvcc"
    commands = {(path, "--version"): "Cuda compilation tools, release 13.0, V13.0.88"}
    finding = found(replace(desktop, commands=commands, files={**desktop.files, path: ""}))["nvcc"]
    assert finding.fix == "export PATH=/usr/local/cuda-13.0/bin:$PATH"


@pytest.mark.parametrize(
    ("output", "detail", "fix"),
    [
        ("NV Power Mode: MAXN_SUPER\n2", "MAXN_SUPER", ""),
        (
            "NV Fan Mode:quiet\nNV Power Mode: 15W\n1",
            "15W, not the fastest",
            "sudo nvpmodel -m 0 && sudo jetson_clocks",
        ),
        ("", "nvpmodel does not report it", "sudo nvpmodel -q"),
    ],
)
def test_the_power_mode_of_a_jetson(jetson: FakeMachine, output: str, detail: str, fix: str) -> None:
    finding = found(replace(jetson, commands={("nvpmodel", "-q"): output}))["power mode"]
    assert (finding.detail, finding.fix) == (detail, fix)


def test_a_desktop_has_no_power_mode(desktop: FakeMachine) -> None:
    assert "power mode" not in found(desktop)


def test_the_daemon_of_csi_cameras_that_is_down_is_named(jetson: FakeMachine) -> None:
    files = {path: text for path, text in jetson.files.items() if path != "/tmp/argus_socket"}
    assert found(replace(jetson, files=files))["CSI cameras"].fix == "sudo systemctl restart nvargus-daemon"


def test_a_camera_that_this_user_may_not_use_is_named(desktop: FakeMachine) -> None:
    finding = found(replace(desktop, locked={"/dev/video0"}))["camera"]
    assert finding.state is State.FAILS and "usermod -aG video" in finding.fix


@pytest.mark.parametrize(
    ("build", "name", "state"),
    [
        (build_information(ffmpeg="NO"), "FFmpeg", State.MISSING),
        (build_information(gstreamer="YES (1.24.2)"), "GStreamer", State.WORKS),
        (build_information(gstreamer="NO"), "GStreamer", State.UNUSED),
    ],
)
def test_what_opencv_was_built_with(desktop: FakeMachine, build: str, name: str, state: State) -> None:
    cv2 = SimpleNamespace(__version__="5.0.0", getBuildInformation=lambda: build)
    assert found(replace(desktop, modules={**desktop.modules, "cv2": cv2}))[name].state is state


def test_a_jetson_needs_gstreamer(jetson: FakeMachine) -> None:
    cv2 = SimpleNamespace(__version__="5.0.0", getBuildInformation=build_information)
    assert "python3-opencv" in found(replace(jetson, modules={"cv2": cv2}))["GStreamer"].fix


def test_opencv_without_windows_says_so(desktop: FakeMachine) -> None:
    cv2 = SimpleNamespace(__version__="5.0.0", getBuildInformation=lambda: build_information(gui="NONE"))
    assert "no windows" in found(replace(desktop, modules={**desktop.modules, "cv2": cv2}))["OpenCV"].detail


def test_two_packages_of_onnx_runtime_in_one_folder_are_seen(desktop: FakeMachine) -> None:
    versions = {**desktop.versions, "onnxruntime": "1.24", "onnxruntime-gpu": "1.24"}
    finding = found(replace(desktop, versions=versions))["ONNX Runtime"]
    assert finding.state is State.FAILS and finding.fix.endswith("pip install onnxruntime-gpu")


def test_kernels_that_were_not_compiled_matter_where_a_gpu_is(desktop: FakeMachine) -> None:
    assert found(desktop, NOT_BUILT)["CUDA kernels"].state is State.MISSING
    assert found(replace(desktop, cards=[]), NOT_BUILT)["CUDA kernels"].state is State.UNUSED


def test_several_gpus_are_listed(desktop: FakeMachine) -> None:
    assert found(replace(desktop, cards=[RTX_4090, RTX_4090]))["GPU"].detail.count("RTX 4090") == 2


def test_this_very_machine_is_examined() -> None:
    findings = {item.name: item for item in examine(Machine(), "0.1.0")}
    assert findings["OpenCV"].state is findings["OpenVINO"].state is State.WORKS
    assert "openvino" in findings["models"].detail
