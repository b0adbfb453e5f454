"""What is told of an engine file that cannot be loaded here: TensorRT is never asked."""

import hashlib
import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from br2net.builder.engine.inspection import count_layers, inspect_engine, is_engine, mostly_fp32
from br2net.errors import ModelError
from br2net.runtime.engine_file import Library, record_path, write_engine
from br2net.runtime.gpu import Gpu

from .conftest import record


def plan(tag: bytes, version: tuple[int, int, int, int]) -> bytes:
    """Bytes that begin as NVIDIA's plans do: tag, size at byte 16, version at byte 24."""
    body = b"weights" * 9
    return tag + bytes(12) + struct.pack("<Q", 28 + len(body)) + bytes(version) + body


Machine = Callable[[Gpu | None, Library | None], None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes this machine one with that GPU and that TensorRT, as far as their names and versions are asked for."""

    def pretend(gpu: Gpu | None, library: Library | None) -> None:
        monkeypatch.setattr("br2net.builder.engine.inspection.find_gpu", lambda: gpu)
        stand_in = ModuleType("br2net.runtime.tensorrt.api")  # the real one imports NVIDIA's libraries
        vars(stand_in)["library"] = lambda: library
        monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)

    return pretend


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    data = plan(b"ftrt", (10, 3, 0, 26))
    facts = {
        "plan_sha256": hashlib.sha256(data).hexdigest(),
        "plan_size_bytes": len(data),
        "layers": {"fp16": 40, "fp32": 2},
        "figures": {"largest_difference": 0.03125, "mean_difference": 0.0005},
    }
    write_engine(tmp_path / "x.engine", data, record(**facts))
    return tmp_path / "x.engine"


def rows(path: Path) -> dict[str, str]:
    return dict(inspect_engine(path).rows())


def test_a_plan_of_another_version_is_told_by_its_bytes(engine: Path) -> None:
    told = rows(engine)
    assert told["plan"] == "0.0 MB, tag ftrt, by TensorRT 10.3.0.26"
    assert (told["built for"], told["input shapes"]) == ("Orin", "1 of 64x64")
    assert told["whole"] == "yes"


def test_layers_and_differences_come_from_the_sidecar(engine: Path) -> None:
    told = rows(engine)
    assert told["layers"] == "40 fp16, 2 fp32"
    assert told["maps against its ONNX"] == "largest difference 0.031, mean difference 0.0005"


def test_where_nothing_ran_after_the_build_it_says_so(tmp_path: Path) -> None:
    write_engine(tmp_path / "x.engine", plan(b"vtrt", (1, 7, 1, 116)), record())
    told = rows(tmp_path / "x.engine")
    assert told["layers"].startswith("not counted") and told["maps against its ONNX"].startswith("not compared")


def test_the_sidecar_leads_to_its_plan(engine: Path) -> None:
    assert inspect_engine(record_path(engine)) == inspect_engine(engine)


def test_a_sidecar_whose_plan_is_elsewhere_is_told_with_the_command(engine: Path) -> None:
    engine.unlink()
    summary = inspect_engine(record_path(engine))
    assert summary.writer() == "TensorRT 10.3.0"
    assert f"br2net build tiny.onnx -o {engine}" in str(summary.damage)


@pytest.mark.parametrize(
    ("tag", "version", "writer"),
    [
        (b"ftrt", (11, 4, 0, 106), "TensorRT 11.4.0.106"),
        (b"vtrt", (1, 7, 1, 116), "TensorRT for RTX 1.7.1.116"),
    ],
)
def test_a_plan_without_a_sidecar_still_names_its_writer(
    tmp_path: Path, tag: bytes, version: tuple[int, int, int, int], writer: str
) -> None:
    (tmp_path / "x.engine").write_bytes(plan(tag, version))
    summary = inspect_engine(tmp_path / "x.engine")
    assert summary.writer() == writer
    assert "has no x.engine.json beside it" in str(summary.damage)


@pytest.mark.parametrize("damage", ["cut", "altered", "sidecar"])
def test_damage_is_told_and_so_is_what_is_still_known(engine: Path, damage: str) -> None:
    if damage == "cut":
        engine.write_bytes(engine.read_bytes()[:40])
    elif damage == "altered":
        engine.write_bytes(engine.read_bytes()[:-1] + b"!")
    else:
        record_path(engine).write_text("{")
    told = rows(engine)
    assert told["whole"].startswith("no: ") and told["runs here"].startswith("no: ")
    assert "10.3.0.26" in told["plan"]


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.engine").write_bytes(b"hello world" * 9)
    with pytest.raises(ModelError, match="not a TensorRT engine"):
        inspect_engine(tmp_path / "x.engine")


def test_engines_are_known_by_name_or_by_their_first_bytes(engine: Path, tmp_path: Path) -> None:
    unnamed = engine.rename(tmp_path / "engine")
    (tmp_path / "facts.json").write_text("{}")
    assert is_engine(unnamed) and is_engine(record_path(engine))
    assert not is_engine(tmp_path / "facts.json")


class TestWhetherItRunsHere:
    def test_not_without_a_gpu(self, engine: Path, machine: Machine) -> None:
        machine(None, None)
        assert rows(engine)["runs here"] == "no: There is no NVIDIA GPU (or driver) here."

    def test_not_on_another_tensorrt(self, engine: Path, machine: Machine) -> None:
        machine(Gpu("Orin", "8.7"), Library("tensorrt", "11.4.0.106"))
        assert "by TensorRT 10.3.0.26 and this is TensorRT 11.4.0.106" in str(inspect_engine(engine).obstacle)

    def test_not_on_another_gpu(self, engine: Path, machine: Machine) -> None:
        machine(Gpu("Thor", "8.7"), Library("tensorrt", "10.3.0"))
        assert "built for Orin and this GPU is Thor" in str(inspect_engine(engine).obstacle)

    def test_where_all_is_as_it_was(self, engine: Path, machine: Machine) -> None:
        machine(Gpu("Orin", "8.7"), Library("tensorrt", "10.3.0"))
        assert inspect_engine(engine).obstacle is None


def layer(kind: str, source: str, target: str) -> dict[str, object]:
    return {
        "Name": "x",
        "LayerType": kind,
        "Inputs": [{"Name": "a", "Dimensions": [1, 8, 4, 4], "Format/Datatype": source}],
        "Outputs": [{"Name": "b", "Dimensions": [1, 8, 4, 4], "Format/Datatype": target}],
    }


def text(*layers: object) -> str:
    return json.dumps({"Layers": layers, "Bindings": ["image", "blur"]})


def test_layers_count_by_their_narrowest_type() -> None:
    layers = [
        layer("CaskConvolution", "Channel major INT8 format where channel % 32 == 0", "Half"),
        layer("CaskConvolution", "Row major linear FP16 format (kLINEAR)", "Row major linear FP32"),
        layer("PointWiseV2", "Float", "Float"),
        layer("kgen", "BFloat16", "Float"),
    ]
    assert count_layers(text(*layers)) == {"bf16": 1, "fp16": 1, "fp32": 1, "int8": 1}


def test_layers_that_only_move_data_do_not_count() -> None:
    assert count_layers(text(layer("Reformat", "Float", "Half"), layer("NoOp", "Float", "Float"))) == {}


def test_the_type_fields_of_tensorrt_11_are_read() -> None:
    apart = {
        "LayerType": "CaskConvolution",
        "Inputs": [{"Name": "a", "Format": "Row major linear", "Datatype": "Half"}],
        "Outputs": [{"Name": "b", "Format": "Channel major, channel % 4 == 0", "DataType": "FP32"}],
    }
    assert count_layers(text(apart)) == {"fp16": 1}


def test_layers_of_an_engine_without_details_are_unknown() -> None:
    assert count_layers(text("conv1", "conv2")) == {"unknown": 2}


def test_an_fp16_engine_of_fp32_layers_is_called_out() -> None:
    assert "5 of 7 layers" in str(mostly_fp32({"fp16": 2, "fp32": 5, "unknown": 3}, "fp16"))


def test_a_mostly_narrow_engine_and_an_fp32_engine_are_not() -> None:
    assert mostly_fp32({"fp16": 5, "fp32": 2}, "fp16") is None
    assert mostly_fp32({"fp32": 7}, "fp32") is None
