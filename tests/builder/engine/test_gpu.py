"""Build, execute and compare on a real GPU, for every precision."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from br2net.builder.comparison import TOLERANCES, Tolerance, packaged_photograph
from br2net.builder.engine import BuildOptions, build_engine, refit_engine
from br2net.builder.engine.inspection import mostly_fp32
from br2net.errors import Br2netError, GateError
from br2net.files import cache_folder
from br2net.runtime.gpu import find_gpu

from .conftest import MakeOnnx
from .test_build import quantise


def _why_not() -> str:
    if find_gpu() is None:
        return "there is no NVIDIA GPU here"
    try:
        import br2net.runtime.tensorrt.api  # noqa: F401
    except Br2netError as error:
        return str(error)
    return ""


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "runs")]


def _fp32(source: Path) -> Path:
    return source


def _fp16(source: Path) -> Path:
    from br2net.builder.precision import to_fp16

    to_fp16(source, source.with_name("fp16.onnx"))
    return source.with_name("fp16.onnx")


def _int8(source: Path) -> Path:
    onnx.save(quantise(onnx.load(source)), source.with_name("int8.onnx"))
    return source.with_name("int8.onnx")


PRECISIONS = {"fp32": _fp32, "fp16": _fp16, "int8": _int8}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_engine_gives_the_maps_of_its_onnx(precision: str, make_onnx: MakeOnnx, tmp_path: Path) -> None:
    convert: Callable[[Path], Path] = PRECISIONS[precision]
    record = build_engine(convert(make_onnx()), tmp_path / "x.engine", frames=[packaged_photograph()])
    assert record.figures["mean_difference"] <= TOLERANCES[precision].mean
    assert sum(record.layers.values()) > 0


def test_an_engine_beyond_the_tolerance_is_refused_and_not_written(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    none_at_all = Tolerance(largest=-1.0, mean=-1.0)
    with pytest.raises(GateError, match="refused"):
        build_engine(make_onnx(), tmp_path / "x.engine", frames=[packaged_photograph()], tolerance=none_at_all)
    assert not list(tmp_path.glob("*.engine*"))


def test_a_stripped_engine_is_smaller_until_its_weights_are_filled_in(make_onnx: MakeOnnx, tmp_path: Path) -> None:
    source = make_onnx(channels=512)
    stripped = build_engine(source, tmp_path / "stripped.engine", BuildOptions(strip_weights=True))
    filled = refit_engine(tmp_path / "stripped.engine", source, tmp_path / "filled.engine")
    assert stripped.stripped and not filled.stripped
    assert filled.plan_size_bytes > stripped.plan_size_bytes


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_shipped_model_becomes_an_engine_once_and_detects_as_on_the_cpu(precision: str) -> None:
    from br2net import Detector

    photograph = packaged_photograph()
    with Detector.load("mobile", backend="onnxruntime") as cpu:
        expected = cpu(photograph).map
    for _ in range(2):
        with Detector.load("mobile", device="cuda", precision=precision) as gpu:
            assert (gpu.backend.name, gpu.backend.precision) == ("tensorrt", precision)
            found = gpu(photograph).map
    (_engine,) = (cache_folder() / "engines").glob(f"mobile-{precision}-*.engine")
    assert abs(found - expected).mean() <= TOLERANCES[precision].mean


@pytest.mark.parametrize("precision", PRECISIONS)
def test_most_layers_of_a_narrow_engine_are_narrow(precision: str, make_onnx: MakeOnnx, tmp_path: Path) -> None:
    record = build_engine(PRECISIONS[precision](make_onnx()), tmp_path / "x.engine")
    assert mostly_fp32(record.layers, precision) is None
    assert "unknown" not in record.layers
