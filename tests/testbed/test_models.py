"""Real parse and real build of the networks of this package, by NVIDIA's parser and builder, without a GPU.

The engines are made by `br2net.builder.engine` in a process of its own, so that nothing of it stays in this one.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from br2net.builder import ExportOptions, export_onnx
from br2net.builder.precision import to_fp16
from br2net.builder.with_preprocessing import add_preprocessing
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.zoo import find_model

from . import loader

pytestmark = pytest.mark.slow
BUILD = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.testbed import loader
sys.modules["tensorrt_rtx"] = loader.load(Path(sys.argv[2]))
import logging, time
from br2net.builder.engine import BuildOptions, build_engine
from br2net.builder.engine.options import parse_profile
batch, size = sys.argv[5:7] if len(sys.argv) > 5 else (None, None)
options = BuildOptions(profile=parse_profile(batch, size) if batch else None, targets=("any",))
began = time.perf_counter()
record = build_engine(Path(sys.argv[3]), Path(sys.argv[4]), options)
print(json.dumps({"seconds": time.perf_counter() - began, "version": record.library.version}))
"""
BUILD_FOR_FRAMES = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.testbed import loader
trt = loader.load(Path(sys.argv[2]))
builder = trt.Builder(trt.Logger(trt.Logger.ERROR))
network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
parser = trt.OnnxParser(network, trt.Logger(trt.Logger.ERROR))
assert parser.parse(Path(sys.argv[3]).read_bytes()), [parser.get_error(i).desc() for i in range(parser.num_errors)]
ends = network.get_input(0), network.get_output(0)
config, profile = builder.create_builder_config(), builder.create_optimization_profile()
profile.set_shape("frames", (1, 64, 64, 3), (1, 720, 1280, 3), (2, 1080, 1920, 3))
config.add_optimization_profile(profile)
assert bytes(builder.build_serialized_network(network, config))[:4] == b"vtrt"
print(json.dumps([fact for end in ends for fact in (end.name, list(end.shape))]))
"""


@dataclass(frozen=True)
class Built:
    """A plan, and the seconds its build took."""

    plan: bytes
    seconds: float


class Bench:
    """Exports and builds into one folder, each file once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        loader.build_forwarders(folder / "forwarders")

    def export(self, network: str, name: str, size: int, **options: object) -> Path:
        path = self.folder / f"{network}-{name}.onnx"
        if not path.exists():
            torch.manual_seed(0)
            checkpoint = Checkpoint(BR2Net(NAMED_CONFIGS[network]).eval(), ModelFacts(network, size, size))
            export_onnx(checkpoint, path, ExportOptions(**options))  # type: ignore[arg-type]
        return path

    def fp16(self, source: Path) -> Path:
        path = source.with_name(f"{source.stem}-fp16.onnx")
        if not path.exists():
            to_fp16(source, path)
        return path

    def build(self, source: Path, *profile: str) -> Built:
        engine = source.with_suffix(".engine")
        root = Path(__file__).parents[2]
        arguments = [str(root), str(self.folder / "forwarders"), str(source), str(engine), *profile]
        run = subprocess.run([sys.executable, "-c", BUILD, *arguments], capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        facts = json.loads(run.stdout.splitlines()[-1])
        plan = engine.read_bytes()
        print(f"{source.stem}: plan of {len(plan) / 1e6:.1f} MB in {facts['seconds']:.1f} s")
        assert plan[:4] == b"vtrt"
        assert ".".join(map(str, plan[24:28])) == facts["version"]
        return Built(plan, facts["seconds"])


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    missing = loader.why_not()
    if missing:
        pytest.skip(f"no host test bed: {missing}")
    return Bench(tmp_path_factory.mktemp("bench"))


@pytest.mark.parametrize("method", ["matrices", "grouped", "slices"])
def test_every_form_of_the_restructured_network_builds(bench: Bench, method: str) -> None:
    bench.build(bench.export("mobile", method, 256, method=method))


def test_the_plain_network_builds(bench: Bench) -> None:
    bench.build(bench.export("mobile", "plain", 256, plain=True))


def test_free_batch_and_size_build_for_a_profile(bench: Bench) -> None:
    source = bench.export("mobile", "any", 256, any_size=True, batch=None)
    bench.build(source, "1:2:4", "256x256:384x256:640x640")


def test_a_one_file_model_builds_for_frames_of_many_sizes(bench: Bench) -> None:
    one = bench.folder / "one.onnx"
    add_preprocessing(find_model("mobile"), one)
    root = Path(__file__).parents[2]
    arguments = [str(root), str(bench.folder / "forwarders"), str(one)]
    run = subprocess.run(
        [sys.executable, "-c", BUILD_FOR_FRAMES, *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == ["frames", [-1, -1, -1, 3], "map", [-1, -1, -1]]


def test_fp16_makes_a_smaller_plan_of_the_mobile_network(bench: Bench) -> None:
    wide = bench.export("mobile", "matrices", 256, method="matrices")
    assert len(bench.build(bench.fp16(wide)).plan) < 0.8 * len(bench.build(wide).plan)  # kernels are a large part here


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "restructured"])
def test_the_papers_network_builds_and_fp16_halves_its_plan(bench: Bench, plain: bool) -> None:
    wide = bench.export("resnext101", "plain" if plain else "restructured", 320, plain=plain)
    assert len(bench.build(bench.fp16(wide)).plan) <= 0.6 * len(bench.build(wide).plan)
