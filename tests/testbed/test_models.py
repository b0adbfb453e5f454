"""Real parse and real build of the networks of this package, by NVIDIA's parser and builder, without a GPU."""

import inspect
import sys
from pathlib import Path

import onnx
import pytest

from br2net.builder.engine import build_engine
from br2net.builder.with_preprocessing import add_preprocessing
from br2net.runtime.engine_file import parse_plan_header
from br2net.zoo import find_model

from .bench import Bench, Built

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("testbed")]
SMALL = 96  # pixels: plans are weights and a program, whose sizes hardly depend on it


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def check(built: Built) -> Built:
    """What holds for every plan: tag and version are the core's, and nothing was logged as an error."""
    from br2net.runtime.tensorrt.api import trt
    from br2net.runtime.tensorrt.log import kept_log

    assert built.plan[:4] == b"vtrt"
    assert ".".join(map(str, built.plan[24:28])) == trt.__version__ == built.record.library.version
    assert parse_plan_header(built.plan, "plan").size_bytes == len(built.plan)
    assert kept_log().errors() == ()
    return built


def weight_bytes(source: Path) -> int:
    """Size of the fp32 weights of an ONNX file."""
    return sum(len(item.raw_data) for item in onnx.load(source).graph.initializer)


def test_the_builder_is_this_package_over_nvidias_own() -> None:
    from br2net.builder.engine import config, plan

    sources = {Path(inspect.getfile(module)).resolve() for module in (build_engine, config, plan)}
    assert {path.parent for path in sources} == {Path(__file__).parents[2] / "builder" / "engine"}
    for module in (config, plan):
        assert vars(module)["trt"] is sys.modules["tensorrt_rtx"]
    assert plan.trt.Builder.__module__ == "tensorrt_bindings.tensorrt"


@pytest.mark.parametrize("method", ["matrices", "grouped", "slices"])
def test_every_form_of_the_restructured_network_builds(bench: Bench, method: str) -> None:
    check(bench.build(bench.export("mobile", method, 256, method=method)))


def test_the_plain_network_builds(bench: Bench) -> None:
    check(bench.build(bench.export("mobile", "plain", 256, plain=True)))


def test_free_batch_and_size_build_for_a_profile(bench: Bench) -> None:
    source = bench.export("mobile", "any", 256, any_size=True, batch=None)
    check(bench.build(source, "1:2:4", "256x256:384x256:640x640"))


def test_a_one_file_model_builds_for_frames_of_many_sizes(tmp_path: Path) -> None:
    trt = sys.modules["tensorrt_rtx"]
    add_preprocessing(find_model("mobile"), tmp_path / "one.onnx")
    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse((tmp_path / "one.onnx").read_bytes())
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    ends = [(end.name, list(end.shape)) for end in (network.get_input(0), network.get_output(0))]
    assert ends == [("frames", [-1, -1, -1, 3]), ("map", [-1, -1, -1])]
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("frames", (1, 64, 64, 3), (1, 720, 1280, 3), (2, 1080, 1920, 3))
    config.add_optimization_profile(profile)
    assert bytes(builder.build_serialized_network(network, config))[:4] == b"vtrt"


def test_fp16_takes_half_of_the_weights_from_the_plan_of_the_mobile_network(bench: Bench) -> None:
    source = bench.export("mobile", "matrices", 256, method="matrices")
    wide, narrow = check(bench.build(source)), check(bench.build(bench.fp16(source)))
    # a third of this plan and more is the program, text that fp16 does not shorten, so the ratio of sizes is not 0.6 here
    assert len(wide.plan) - len(narrow.plan) >= 0.4 * weight_bytes(source)


def test_int8_by_quantise_and_dequantise_nodes_builds(bench: Bench) -> None:
    source = bench.export("mobile", "matrices", 256, method="matrices")
    every = check(bench.build(bench.int8(source, depthwise=True)))
    but_depthwise = check(bench.build(bench.int8(source, depthwise=False)))
    assert every.record.model.precision == but_depthwise.record.model.precision == "int8"
    assert len(but_depthwise.plan) < len(every.plan)  # depthwise INT8 is stored as dense, nearly all zeros


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "restructured"])
def test_the_papers_network_builds_and_fp16_halves_its_plan(bench: Bench, plain: bool) -> None:
    source = bench.export("resnext101", "plain" if plain else "restructured", SMALL, plain=plain)
    wide, narrow = check(bench.build(source)), check(bench.build(bench.fp16(source)))
    assert len(narrow.plan) <= 0.6 * len(wide.plan)
