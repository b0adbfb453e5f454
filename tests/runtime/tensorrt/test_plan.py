"""Plans that TensorRT does not load, told by TensorRT for RTX itself on a machine without a GPU."""

from pathlib import Path

import pytest

from br2net.builder.engine import BuildOptions, build_engine
from br2net.errors import BackendError
from br2net.runtime.gpu import find_gpu
from tests.testbed import loader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(loader.why_not()), reason=f"no host test bed: {loader.why_not()}"),
    pytest.mark.skipif(find_gpu() is not None, reason="there is a GPU here, which loads them"),
]


@pytest.mark.usefixtures("testbed")
@pytest.mark.parametrize("damaged", [False, True])
def test_a_plan_that_does_not_load_is_one_sentence(
    tiny_onnx: Path, tmp_path: Path, damaged: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from br2net.builder.engine.options import parse_profile
    from br2net.runtime.tensorrt.plan import PlanEngine

    monkeypatch.setenv("BR2NET_CACHE", str(tmp_path / "cache"))
    engine = tmp_path / "tiny.engine"
    build_engine(tiny_onnx, engine, BuildOptions(targets=("any",), profile=parse_profile("1", "64x32")))
    plan = engine.read_bytes()
    with pytest.raises(BackendError) as caught:
        PlanEngine(engine, plan[: len(plan) // 2] if damaged else plan)
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    assert damaged or "br2net doctor" in sentence
