"""The house: imports go one way, and what runs on the edge does without the workstation's packages."""

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from br2net.runtime.metadata import IMAGENET, METADATA_KEY, ModelMetadata

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("live", "calibration", "benchmarks", "builder", "training", "datasets", "runtime", "network")
WORKSTATION = ("torch", "torchvision", "modelopt", "onnxscript", "polygraphy", "tensorrt", "pycuda", "onnxruntime")
# Python forbids the import of a module that stands in sys.modules as None, as if it were not installed.
WITHOUT_THEM = f"import sys; sys.modules.update(dict.fromkeys({WORKSTATION!r}))"


@dataclass(frozen=True)
class House:
    """A copy of the package in a folder of its own, to break the rules in."""

    folder: Path

    def add(self, module: str, line: str) -> None:
        """Append one line to a module, given as `runtime/images.py`; a new one is made."""
        with (self.folder / "br2net" / module).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")

    def check(self) -> subprocess.CompletedProcess[str]:
        """Run import-linter over the copy, with the contracts of pyproject.toml."""
        code = (
            "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; sys.exit(lint_imports())"
        )
        code = code.replace("lint_imports()", f"lint_imports(config_filename={str(ROOT / 'pyproject.toml')!r})")
        return run(code, self.folder)


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> House:
    no_cache = shutil.ignore_patterns("__pycache__", "models", "scripts", "results")
    shutil.copytree(ROOT / "app", tmp_path / "br2net", ignore=no_cache)
    for stage in STAGES:
        shutil.copytree(ROOT / stage, tmp_path / "br2net" / stage, ignore=no_cache)
    return House(tmp_path)


def test_imports_keep_the_contracts(house: House) -> None:
    result = house.check()
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("runtime/images.py", "import br2net.builder"),
        ("runtime/images.py", "import torch"),
        ("runtime/images.py", "def late() -> None:\n    import br2net.network"),
        ("network/config.py", "import br2net.runtime"),
        ("training/data.py", "import br2net.calibration"),
        ("builder/__init__.py", "import br2net.benchmarks"),
        ("datasets/pairs.py", "import br2net.training"),
        ("live/__init__.py", "import br2net.calibration"),
        ("live/__init__.py", "import torch"),
        ("runtime/__init__.py", "import br2net.live"),
        ("types.py", "import br2net.runtime"),
        ("runtime/metadata.py", "import br2net.runtime.backend"),
        ("benchmarks/__init__.py", "import br2net.detector"),
        ("errors.py", "import br2net.files"),
        ("detector.py", "import torch"),
        ("unplaced.py", "import br2net.errors"),
    ],
)
def test_an_import_the_wrong_way_is_refused(house: House, module: str, line: str) -> None:
    house.add(module, line)
    result = house.check()
    assert result.returncode == 1, result.stdout + result.stderr
    assert "BROKEN" in result.stdout


def sources() -> Iterator[Path]:
    """Each module of each stage."""
    for stage in STAGES:
        yield from (ROOT / stage).rglob("*.py")


# Frames become maps through requests alone. Network input is also made to train, and to record the activations that a
# calibration or a cast to float16 needs.
MAKES_NETWORK_INPUT = {
    "builder/precision.py",
    "calibration/activations.py",
    "runtime/backend.py",
    "runtime/tensorrt/request.py",
    "training/data.py",
    "training/fusion.py",
    "training/validation.py",
}


def test_only_requests_and_training_make_network_input() -> None:
    """Everything that turns frames into maps goes through `Request.prepare`, so nothing else calls `preprocess`."""
    importing = set()
    by_hand = ROOT / "benchmarks" / "scripts"  # measures the parts themselves
    for path in [*sources(), *(ROOT / "app").rglob("*.py")]:
        if path.is_relative_to(by_hand):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {name.name for name in node.names} if isinstance(node, ast.ImportFrom) else set()
            if isinstance(node, ast.ImportFrom) and (
                (str(node.module).endswith("runtime.preprocessing") and "preprocess" in names)
                or str(node.module).endswith("runtime.native.cpu")
                or (str(node.module).endswith("runtime.native") and "cpu" in names)
            ):
                importing.add(path.relative_to(ROOT).as_posix())
    assert importing - {"runtime/preprocessing.py", "runtime/postprocessing.py"} == MAKES_NETWORK_INPUT


def test_no_stage_imports_the_public_package() -> None:
    """The contracts cannot say this: `br2net` is the parent of every module that they name."""
    public = {"Detector", "BlurMap"}
    wrong = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module == "br2net"
                and {name.name for name in node.names} & public
            ):
                wrong.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert wrong == []


@pytest.mark.parametrize("statement", ["import br2net; br2net.Detector", "import br2net.cli", "import br2net.runtime"])
def test_the_package_imports_without_the_packages_of_a_workstation(statement: str, tmp_path: Path) -> None:
    result = run(f"{WITHOUT_THEM}; {statement}", tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("statement", ["import br2net; br2net.Detector", "import br2net.cli", "import br2net.runtime"])
def test_the_package_imports_none_of_them_where_they_are(statement: str, tmp_path: Path) -> None:
    result = run(f"{statement}; import sys; print(sorted({set(WORKSTATION)!r} & set(sys.modules)))", tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    result = run("import br2net, sys; print(sorted({'cv2', 'numpy', 'onnx', 'openvino'} & set(sys.modules)))", tmp_path)
    assert result.stdout.strip() == "[]"


def save_brightness_model(path: Path) -> None:
    """Write an ONNX file whose blur map is a sigmoid of one channel: a model that needed no torch to be made."""
    metadata = ModelMetadata(
        name="tiny", architecture="{}", backbone="none", width=64, height=32, normalisation=IMAGENET
    )
    parts = [
        onnx.helper.make_tensor(name, onnx.TensorProto.INT64, [1], [value]) for name, value in (("from", 0), ("to", 1))
    ]
    parts.append(onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1]))
    nodes = [
        onnx.helper.make_node("Slice", ["image", "from", "to", "axis"], ["red"]),
        onnx.helper.make_node("Sigmoid", ["red"], ["blur"]),
    ]
    inputs = [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 32, 64])]
    outputs = [onnx.helper.make_tensor_value_info("blur", onnx.TensorProto.FLOAT, [1, 1, 32, 64])]
    graph = onnx.helper.make_graph(nodes, "tiny", inputs, outputs, parts)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.save(model, path)


def test_detect_runs_without_the_packages_of_a_workstation(tmp_path: Path) -> None:
    save_brightness_model(tmp_path / "tiny.onnx")
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((40, 60, 3), 128, np.uint8))
    arguments = ["br2net", "detect", "grey.png", "--model", "tiny.onnx", "-o", "out", "--json"]
    result = run(f"{WITHOUT_THEM}; sys.argv = {arguments!r}; from br2net.cli import main; main()", tmp_path)
    assert result.returncode == 0, result.stderr
    assert (json.loads(result.stdout)["width"], json.loads(result.stdout)["height"]) == (60, 40)
    assert (tmp_path / "out" / "grey_blur.png").is_file()
