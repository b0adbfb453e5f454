import hashlib
from pathlib import Path

import pytest

from br2net.errors import ModelError
from br2net.runtime.engine_file import (
    EngineRecord,
    InputShape,
    Library,
    Profile,
    parse_plan_header,
    read_engine,
    read_record,
    record_path,
    write_engine,
)
from br2net.runtime.gpu import Gpu
from br2net.runtime.metadata import IMAGENET, ModelMetadata

HERE = Library("tensorrt", "10.3.0")
ORIN = Gpu("Orin", "8.7")
PLAN = b"ftrt" + bytes(20) + bytes([10, 3, 0, 26]) + b"weights" * 20


def record(**changed: object) -> EngineRecord:
    values: dict[str, object] = {
        "model": ModelMetadata("mobile", "{}", "mobilenet", 320, 320, IMAGENET),
        "library": HERE,
        "gpu_name": "Orin",
        "compute_capabilities": ("8.7",),
        "profile": Profile.fixed(InputShape(1, 320, 320)),
        "onnx_name": "mobile.onnx",
        "onnx_sha256": "0" * 64,
        "plan_sha256": hashlib.sha256(PLAN).hexdigest(),
        "plan_size_bytes": len(PLAN),
        "figures": {"mean_difference": 0.001},
    }
    return EngineRecord(**(values | changed))  # type: ignore[arg-type]


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "x.engine"
    write_engine(path, PLAN, record())
    return path


def test_a_record_survives_its_json() -> None:
    assert EngineRecord.from_json(record().to_json(), "x") == record()


def test_an_engine_for_this_tensorrt_and_gpu_is_read(engine: Path) -> None:
    assert read_engine(engine, HERE, ORIN) == (PLAN, record())


def test_the_header_names_the_version() -> None:
    assert parse_plan_header(PLAN, "x").version_text() == "10.3.0.26"


@pytest.mark.parametrize("library", [Library("tensorrt", "11.4.0.106"), Library("tensorrt_rtx", "1.7.1.116")])
def test_another_tensorrt_is_told_with_both_versions_and_the_command(engine: Path, library: Library) -> None:
    with pytest.raises(ModelError) as caught:
        read_engine(engine, library, ORIN)
    text = str(caught.value)
    assert "TensorRT 10.3.0.26" in text and str(library) in text
    assert f"`br2net build mobile.onnx -o {engine}`" in text


def test_a_version_compatible_engine_runs_on_later_versions_of_its_major_number(tmp_path: Path) -> None:
    path = tmp_path / "x.engine"
    write_engine(path, PLAN, record(version_compatible=True))
    read_engine(path, Library("tensorrt", "10.13.3.9"), ORIN)
    for other in ("10.2.0", "11.4.0.106"):
        with pytest.raises(ModelError):
            read_engine(path, Library("tensorrt", other), ORIN)


@pytest.mark.parametrize("gpu", [Gpu("Thor", "11.0"), Gpu("Orin", "8.9")])
def test_another_gpu_is_told_with_both_names_and_the_command(engine: Path, gpu: Gpu) -> None:
    with pytest.raises(ModelError, match=r"built for Orin and this GPU is .*`br2net build mobile.onnx -o "):
        read_engine(engine, HERE, gpu)


@pytest.mark.parametrize(
    ("built_for", "own", "fits"),
    [
        (("8.0+",), "8.9", True),
        (("8.0+",), "12.0", True),
        (("8.0+",), "7.5", False),
        (("8.6", "12.0"), "12.0", True),
        (("8.6", "12.0"), "8.9", False),
    ],
)
def test_an_engine_for_compute_capabilities_fits_any_gpu_that_has_one(
    built_for: tuple[str, ...], own: str, fits: bool
) -> None:
    assert record(gpu_name="", compute_capabilities=built_for).accepts_gpu(Gpu("some", own)) is fits


def test_a_truncated_plan_is_told(engine: Path) -> None:
    engine.write_bytes(PLAN[:50])
    with pytest.raises(ModelError, match=f"cut short \\(50 of {len(PLAN)} bytes\\)"):
        read_engine(engine, HERE, ORIN)


def test_an_altered_plan_is_told(engine: Path) -> None:
    engine.write_bytes(PLAN[:-1] + b"!")
    with pytest.raises(ModelError, match="not the plan that its sidecar describes"):
        read_engine(engine, HERE, ORIN)


@pytest.mark.parametrize("data", [b"", b"ftrt", b"PK\x03\x04" + bytes(60)])
def test_what_is_no_plan_is_told(engine: Path, data: bytes) -> None:
    engine.write_bytes(data)
    with pytest.raises(ModelError, match="not a TensorRT engine"):
        read_engine(engine, HERE, ORIN)


def test_a_missing_engine_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Cannot read"):
        read_engine(tmp_path / "none.engine", HERE, ORIN)


def test_a_missing_sidecar_is_told(engine: Path) -> None:
    record_path(engine).unlink()
    with pytest.raises(ModelError, match=r"has no x.engine.json beside it.*br2net build"):
        read_record(engine)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b'{"library": 3}', b"\xff\xfe"])
def test_a_corrupt_sidecar_is_told(engine: Path, data: bytes) -> None:
    record_path(engine).write_bytes(data)
    with pytest.raises(ModelError, match="damaged"):
        read_record(engine)


def test_a_write_that_fails_leaves_what_was_there(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Exception, match="No space left"):
        write_engine(engine, PLAN + b"new", record())
    assert engine.read_bytes() == PLAN
    assert sorted(path.name for path in engine.parent.iterdir()) == ["x.engine", "x.engine.json"]


def test_fields_of_a_newer_version_are_ignored(engine: Path) -> None:
    path = record_path(engine)
    path.write_text(path.read_text().replace('"figures"', '"from_the_future": 1, "figures"'))
    assert read_record(engine) == record()
