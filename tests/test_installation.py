"""What installing asks for: bounds, the lists of packages for Jetsons, container images and the systemd unit."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
DOCKER = ROOT / "docker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
JETPACKS = {6: "3.10", 7: "3.12"}
CUDA = {6: 12, 7: 13}
FROM_JETPACK = {"opencv-python", "tensorrt"}
EDGE = ("tensorrt", "live")


def environment(python: str) -> dict[str, str]:
    """The environment markers of a Jetson."""
    facts = {"python_version": python, "python_full_version": f"{python}.12", "platform_machine": "aarch64"}
    return {**facts, "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}


def wanted(*extras: str) -> list[Requirement]:
    """Requirements of the package with extras; an extra that names others of this package is followed."""
    found: list[Requirement] = []
    lines = [line for extra in extras for line in PROJECT["optional-dependencies"][extra]]
    for requirement in map(Requirement, lines):
        found += wanted(*requirement.extras) if requirement.name == "br2net" else [requirement]
    return found


def core() -> list[Requirement]:
    return [Requirement(line) for line in PROJECT["dependencies"]]


def pins(path: Path) -> dict[str, Version]:
    """Exact versions of a list of packages, by canonical name."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (exact,) = requirement.specifier
            assert exact.operator == "==" and requirement.marker is None, line
            found[canonicalize_name(requirement.name)] = Version(exact.version)
    return found


def jetpack_file(jetpack: int) -> Path:
    return ROOT / f"constraints-jetpack{jetpack}.txt"


def instructions(name: str) -> list[tuple[str, str]]:
    """Instructions of a Dockerfile with their arguments, continued lines joined."""
    text = "\n".join(line for line in (DOCKER / name).read_text("utf-8").splitlines() if not line.startswith("#"))
    lines = text.replace("\\\n", " ").splitlines()
    return [(words[0], " ".join(words[1:])) for words in map(str.split, lines) if words]


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_jetpack_list_pins_every_dependency_within_its_bounds(jetpack: int) -> None:
    pinned = pins(jetpack_file(jetpack))
    markers = environment(JETPACKS[jetpack])
    needed = [item for item in core() + wanted(*EDGE) if item.marker is None or item.marker.evaluate(markers)]
    needed = [item for item in needed if item.name not in FROM_JETPACK]
    assert not {item.name for item in needed} - pinned.keys()
    assert not [str(item) for item in needed if pinned[item.name] not in item.specifier]


@pytest.mark.parametrize("jetpack", JETPACKS)
def test_jetpack_list_leaves_opencv_and_tensorrt_to_jetpack_and_fits_its_cuda(jetpack: int) -> None:
    pinned = pins(jetpack_file(jetpack))
    assert not [name for name in pinned if name.startswith(("opencv", "tensorrt"))]
    assert pinned["numpy"] < Version("2")
    assert {pinned[name].major for name in ("cuda-python", "cuda-bindings")} == {CUDA[jetpack]}


def test_lowest_versions_are_the_lower_bounds() -> None:
    lowest = pins(ROOT / "constraints-lowest.txt")
    bounds = {item.name: item.specifier for item in core() + wanted("onnxruntime")}
    assert lowest.keys() == bounds.keys()
    for name, specifier in bounds.items():
        (bound,) = specifier
        assert bound.operator == ">=" and lowest[name] in specifier, name
        assert lowest[name].release[: len(Version(bound.version).release)] == Version(bound.version).release, name


def test_tensorrt_extras_hold_what_building_and_running_engines_needs() -> None:
    modules = {"cuda-python", "filelock", "nvidia-ml-py", "onnxruntime", "polygraphy", "pycuda"}
    for extra, library in (("tensorrt", "tensorrt"), ("tensorrt-cu12", "tensorrt-cu12")):
        assert {item.name for item in wanted(extra)} == modules | {library}


@pytest.mark.parametrize(
    ("extra", "majors"), [("tensorrt", {"12", "13"}), ("tensorrt-cu12", {"12"}), ("cuda", {"12", "13"})]
)
def test_extra_bounds_the_major_version_of_cuda_python(extra: str, majors: set[str]) -> None:
    specifiers = [item.specifier for item in wanted(extra) if item.name == "cuda-python"]
    assert {major for major in ("11", "12", "13", "14") if all(f"{major}.9" in each for each in specifiers)} == majors


def test_build_combines_with_cuda_without_a_second_onnx_runtime() -> None:
    assert "onnxruntime" not in {item.name for item in wanted("build", "cuda")}
    assert "'.[build,cuda]'" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_jetson_image_installs_the_list_of_its_jetpack_and_no_opencv() -> None:
    steps = instructions("Dockerfile.jetson")
    installs = [line for word, line in steps if word == "RUN" and "pip install" in line]
    assert len(installs) == 2 and all("--no-deps" in line for line in installs)
    assert not [line for line in installs if "opencv" in line]
    assert ("COPY", "constraints-jetpack${JETPACK}.txt /tmp/packages.txt") in steps
    assert "-r /tmp/packages.txt" in installs[0] and installs[1].endswith("--no-deps /source")
    assert any(word == "RUN" and "apt-get install" in line and "python3-opencv" in line for word, line in steps)
    path = next(index for index, (word, line) in enumerate(steps) if word == "ENV" and "/usr/local/cuda/bin" in line)
    assert path < steps.index(("RUN", installs[0]))


@pytest.mark.parametrize(("cuda", "major"), [("12.8.1", 12), ("13.0.1", 13)])
def test_desktop_image_installs_packages_of_the_cuda_it_is_built_on(cuda: str, major: int) -> None:
    (install,) = (line for word, line in instructions("Dockerfile.desktop") if word == "RUN" and "pip install" in line)
    choice, _ = install.split(" && ", 1)
    chosen = subprocess.run(
        ["bash", "-c", f'{choice}; echo "$extra"'], env={"CUDA": cuda}, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert '"/source[${extra},live]"' in install
    cuda_python = [item.specifier for item in wanted(chosen) if item.name == "cuda-python"]
    newest = max(version for version in (12, 13) if all(f"{version}.9" in each for each in cuda_python))
    assert newest == major


def test_default_desktop_image_is_of_the_cuda_of_the_default_extra() -> None:
    assert any(word == "ARG" and line.startswith("CUDA=13.") for word, line in instructions("Dockerfile.desktop"))


@pytest.mark.parametrize("name", ["Dockerfile.desktop", "Dockerfile.jetson"])
def test_image_compiles_pycuda_without_curand_and_keeps_engines_in_a_volume(name: str) -> None:
    steps = instructions(name)
    curand = next(index for index, (_, line) in enumerate(steps) if "CUDA_ENABLE_CURAND = False" in line)
    assert curand < next(index for index, (_, line) in enumerate(steps) if "pip install" in line)
    assert "/root/.aksetup-defaults.py" in steps[curand][1]
    assert any(word == "ENV" and "BR2NET_CACHE=/cache" in line for word, line in steps)
    assert ("VOLUME", "/cache") in steps


@pytest.mark.skipif(not shutil.which("hadolint"), reason="hadolint is not installed")
@pytest.mark.parametrize("name", ["Dockerfile.desktop", "Dockerfile.jetson"])
def test_hadolint_accepts_the_image(name: str) -> None:
    run = subprocess.run(["hadolint", str(DOCKER / name)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_camera_unit_shares_tmp_with_the_camera_daemon() -> None:
    lines = (DOCKER / "br2net-camera.service").read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.startswith("PrivateTmp=") and line != "PrivateTmp=false"]
    assert "ReadWritePaths=/tmp" in lines and "CacheDirectory=br2net" in lines


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_camera_unit(tmp_path: Path) -> None:
    text = (DOCKER / "br2net-camera.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/br2net/bin/br2net " in text
    unit = tmp_path / "br2net-camera.service"
    unit.write_text(text.replace("/opt/br2net/bin/br2net", sys.executable), encoding="utf-8")
    run = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_jetson_page_passes_nvccs_path_through_sudo_and_installs_without_dependencies() -> None:
    page = (ROOT / "docs" / "jetson.md").read_text(encoding="utf-8")
    installs = re.findall(r"^sudo .*pip install.*$", page, re.MULTILINE)
    assert len(installs) == 2
    assert all(line.startswith("sudo env PATH=/usr/local/cuda/bin:$PATH ") and "--no-deps" in line for line in installs)
    assert all(f"../constraints-jetpack{jetpack}.txt" in page for jetpack in JETPACKS)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("jetpack", JETPACKS)
def test_every_package_of_a_jetpack_list_has_a_wheel_and_the_list_is_complete(jetpack: int, tmp_path: Path) -> None:
    python, path = JETPACKS[jetpack], jetpack_file(jetpack)
    pinned = pins(path)
    wheels = [f"{name}=={version}" for name, version in pinned.items() if name != "pycuda"]  # pycuda has none
    platforms = [f"--platform=manylinux_2_{minor}_aarch64" for minor in range(17, 36)]
    target = [f"--python-version={python}", "--platform=manylinux2014_aarch64", *platforms]
    report = tmp_path / "report.json"
    options = ["--dry-run", "--ignore-installed", "--only-binary=:all:", f"--report={report}", "--quiet"]
    command = [sys.executable, "-m", "pip", "install", f"--target={tmp_path / 'target'}", *options, *target, *wheels]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    installed = {item["metadata"]["name"]: item["metadata"] for item in json.loads(report.read_text())["install"]}
    versions = {canonicalize_name(name): Version(metadata["version"]) for name, metadata in installed.items()}
    assert versions == {name: version for name, version in pinned.items() if name != "pycuda"}
    # pip evaluates markers for the Python that runs it, so they are evaluated here for the Jetson's.
    markers = environment(python)
    for name, metadata in installed.items():
        for requirement in map(Requirement, metadata.get("requires_dist", [])):
            if requirement.marker is None or requirement.marker.evaluate(markers):
                assert pinned[canonicalize_name(requirement.name)] in requirement.specifier, f"{name}: {requirement}"
