"""Layers of an engine, from the inspector's JSON and the profiler's times as NVIDIA documents both."""

import json

import pytest

from br2net.benchmarks.latency.profiling import layer_times
from br2net.benchmarks.latency.roofline import Copy, Peaks
from br2net.benchmarks.latency.work import LayerWork, Work

PEAKS = Peaks({"fp32": 1e12, "fp16": 4e12}, (Copy(1 << 30, 1e11),), "by hand")
WORK = Work((LayerWork("conv_a", "Conv", 1000, 10, 10, "fp16"), LayerWork("conv_b", "Conv", 500, 10, 10, "fp16")))


def tensor(*sides: int, kind: str = "Channel major FP16 format where channel % 8 == 0") -> dict[str, object]:
    return {"Name": "t", "Dimensions": list(sides), "Format/Datatype": kind}


INSPECTOR = json.dumps(
    {
        "Layers": [
            {
                "Name": "conv_a + conv_b",
                "LayerType": "CaskConvolution",
                "ParameterType": "Convolution",
                "Inputs": [tensor(2, 8, 4, 4)],
                "Outputs": [tensor(2, 8, 2, 2)],
                "Weights": {"Type": "Half", "Count": 72},
                "Metadata": "[ONNX Layer: conv_a]\x1e[ONNX Layer: conv_b]",
            },
            {
                "Name": "reformat",
                "LayerType": "Reformat",
                "Inputs": [tensor(2, 3, kind="Row major linear FP32")],
                "Outputs": [],
            },
            {"Name": "never run", "LayerType": "Constant", "Inputs": [], "Outputs": []},
        ]
    }
)


def test_a_fused_layer_has_the_work_of_all_its_nodes() -> None:
    fused, reformat = layer_times(INSPECTOR, {"conv_a + conv_b": 0.5, "reformat": 0.1}, WORK, PEAKS, images=2)
    assert (fused.macs, fused.precision, fused.kind, fused.ms) == (3000, "fp16", "Convolution", 0.5)
    assert fused.bytes_moved == 2 * (256 + 64 + 72)
    assert fused.bound_ms == pytest.approx(PEAKS.bound_ms(3000, 784, "fp16"))
    assert (reformat.macs, reformat.bytes_moved) == (0, 24)


def test_an_engine_without_details_has_no_layers_to_show() -> None:
    assert layer_times('{"Layers": ["conv_a", "conv_b"]}', {"conv_a": 1.0}, WORK, PEAKS, images=1) == ()
