"""Exported files: what PyTorch computes, what their metadata says, and that a wrong one never appears."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from br2net.builder import ExportOptions, export_onnx, inspect_onnx
from br2net.builder import export as export_module
from br2net.errors import GateError, InputError, ModelError
from br2net.network import BR2Net, BR2NetConfig, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime import InferenceOptions, open_backend
from br2net.runtime.backend import detect
from br2net.runtime.model_file import read_model_file
from br2net.zoo import find_model

CONFIG = BR2NetConfig(backbone="mobilenet_v2", width=6, l2h_level=1, h2l_level=3)


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    torch.manual_seed(0)
    return Checkpoint(BR2Net(CONFIG).eval(), ModelFacts("small", 96, 64, training_data="nothing"), {"mae": 0.5})


OPTIONS = {
    "restructured": ExportOptions(),
    "plain": ExportOptions(plain=True),
    "any_batch": ExportOptions(batch=None),
    "any_size": ExportOptions(batch=None, any_size=True),
    "grouped": ExportOptions(method="grouped"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_the_file_names_no_folder_of_the_machine_that_wrote_it(
    checkpoint: Checkpoint, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "x.onnx"
    export_onnx(checkpoint, path, OPTIONS[name])
    content = path.read_bytes()
    assert b".py" not in content and str(Path(torch.__file__).parents[1]).encode() not in content


@pytest.mark.parametrize("name", ["mobile", "mobile-fp16", "mobile-int8"])
def test_a_shipped_file_names_none_either(name: str) -> None:
    assert b".py" not in find_model(name).read_bytes()


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_file_gives_pytorchs_map(checkpoint: Checkpoint, tmp_path: Path, name: str, backend: str) -> None:
    path = tmp_path / "x.onnx"
    options = OPTIONS[name]
    export_onnx(checkpoint, path, options)
    size = (128, 96) if options.any_size else None
    width, height = size or (96, 64)
    frames = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    mean, std = (torch.tensor(item).reshape(3, 1, 1) for item in (checkpoint.facts.mean, checkpoint.facts.std))
    image = torch.from_numpy(frames[..., ::-1].copy()).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        expected = checkpoint.model((image - mean) / std)[:, 0].numpy()
    precision = "fp32" if backend == "openvino" else "auto"
    with open_backend(path, backend, InferenceOptions(size=size, precision=precision)) as loaded:
        maps = [output.map for output in detect(loaded, list(frames))]
        assert np.abs(np.stack(maps) - expected).max() <= 1e-4  # type: ignore[arg-type]


def test_the_file_explains_itself(checkpoint: Checkpoint, tmp_path: Path) -> None:
    export_onnx(checkpoint, tmp_path / "x.onnx", ExportOptions(size=(64, 32)))
    file = read_model_file(tmp_path / "x.onnx")
    facts = file.metadata
    assert (file.batch, file.width, file.height) == (1, 64, 32) == (1, facts.width, facts.height)
    assert BR2NetConfig.from_json(facts.architecture) == CONFIG
    assert facts.training_data == "nothing" and facts.weights_sha256 == checkpoint.weights_sha256()
    assert facts.figures["mae"] == 0.5 and facts.figures["export_difference"] < 1e-4
    onnx.checker.check_model(str(tmp_path / "x.onnx"), full_check=True)


def test_a_file_that_differs_from_pytorch_does_not_appear(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def restructure_wrongly(model: BR2Net, method: str) -> torch.nn.Module:
        return BR2Net(model.config).eval()  # other weights

    monkeypatch.setattr(export_module, "restructure", restructure_wrongly)
    with pytest.raises(GateError, match="differs"):
        export_onnx(checkpoint, tmp_path / "x.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": (100, 64)}, "multiples of 32"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"any_size": True, "method": "matrices"}, "fixed"),
    ],
)
def test_impossible_options_are_refused(
    checkpoint: Checkpoint, tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        export_onnx(checkpoint, tmp_path / "x.onnx", ExportOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OPTIONS)
def test_counted_work_is_that_of_pytorchs_own_counter(checkpoint: Checkpoint, tmp_path: Path, name: str) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    from br2net.network import restructure

    options = OPTIONS[name]
    export_onnx(checkpoint, tmp_path / "x.onnx", options)
    method = options.method or ("slices" if options.any_size else "matrices")
    network = checkpoint.model if options.plain else restructure(checkpoint.model, method)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 64, 96))
    assert inspect_onnx(tmp_path / "x.onnx").macs == counter.get_total_flops() // 2


def test_counted_parameters_are_those_of_the_network(checkpoint: Checkpoint, tmp_path: Path) -> None:
    export_onnx(checkpoint, tmp_path / "x.onnx", ExportOptions(plain=True))
    norms = [module for module in checkpoint.model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    total = sum(parameter.numel() for parameter in checkpoint.model.parameters())
    folded = total - sum(module.num_features for module in norms)  # scale and shift become one bias
    assert inspect_onnx(tmp_path / "x.onnx").parameters == pytest.approx(folded, rel=0.02)


@pytest.mark.parametrize("content", [b"", b"no onnx at all", b"\x08\x07"])
def test_what_is_no_onnx_is_named_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.onnx is not an ONNX file"):
        inspect_onnx(tmp_path / "x.onnx")
