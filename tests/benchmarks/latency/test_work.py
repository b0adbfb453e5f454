"""Work and bounds, against PyTorch's own counter and figures worked out by hand."""

import math
from pathlib import Path

import pytest

from br2net.benchmarks.latency.roofline import Copy, Peaks, network_bound_ms
from br2net.benchmarks.latency.work import LayerWork, Work, work_of_network, work_of_onnx
from br2net.network import NAMED_CONFIGS, BR2Net


def test_multiply_accumulates_of_a_network_are_those_that_pytorch_counts() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    config = NAMED_CONFIGS["mobile"]
    with torch.device("meta"), torch.inference_mode():
        network = BR2Net(config).eval()
        with FlopCounterMode(display=False) as counter:
            network(torch.empty(1, 3, 96, 64))
    assert work_of_network(config, 64, 96).macs == counter.get_total_flops() // 2


def test_weights_of_a_network_are_its_convolutions() -> None:
    import torch

    config = NAMED_CONFIGS["mobile"]
    with torch.device("meta"):
        modules = [module for module in BR2Net(config).modules() if isinstance(module, torch.nn.Conv2d)]
    numbers = sum(item.numel() for module in modules for item in module.parameters())
    assert sum(layer.weights for layer in work_of_network(config, 64, 64).layers) == numbers


def test_an_onnx_file_is_counted_layer_by_layer(tiny_onnx: Path) -> None:
    work = work_of_onnx(tiny_onnx)
    assert work is not None
    pixels = 64 * 32
    assert [layer.macs for layer in work.layers] == [4 * 27 * pixels, 4 * pixels]
    assert [layer.activations for layer in work.layers] == [(3 + 4) * pixels, (4 + 1) * pixels]
    assert [layer.weights for layer in work.layers] == [4 * 27, 4]
    assert work.bytes_moved("bf16") == 2 * (12 * pixels + 112)


def test_another_size_than_the_counted_one_is_not_guessed(tiny_onnx: Path) -> None:
    assert work_of_onnx(tiny_onnx, (64, 32)) is not None
    assert work_of_onnx(tiny_onnx, (96, 32)) is None


def test_a_batch_reads_the_weights_once() -> None:
    layer = LayerWork("a", "Conv", 1000, 100, 800, "fp32")
    assert layer.bytes_moved("fp32") == 3600
    assert layer.bytes_moved("fp32", batch=8) == 4 * (100 + 100)


PEAKS = Peaks({"fp32": 1e9, "int8": 4e9}, (Copy(1 << 10, 8e9), Copy(1 << 20, 1e9)), "by hand")


def test_a_bound_is_the_longer_of_computing_and_moving() -> None:
    assert PEAKS.bound_ms(5e6, 1 << 20, "fp32") == pytest.approx(5.0)
    assert PEAKS.bound_ms(1e3, 1 << 20, "fp32") == pytest.approx((1 << 20) / 1e6)


def test_what_fits_into_a_cache_is_moved_at_its_speed() -> None:
    assert PEAKS.bandwidth(100) == 8e9
    assert PEAKS.bandwidth(1 << 30) == 1e9
    assert PEAKS.bandwidth(1 << 15) == pytest.approx(4.5e9)  # halfway on a logarithmic scale


def test_layers_of_an_int8_file_that_are_not_int8_count_as_the_best_that_there_is() -> None:
    layers = (LayerWork("a", "Conv", 8_000_000, 8, 8, "int8"), LayerWork("b", "Conv", 1_000_000, 8, 8, "fp32"))
    assert network_bound_ms(Work(layers), PEAKS, "int8") == pytest.approx(2.0 + 1.0)
    with_bf16 = Peaks({**PEAKS.macs_per_second, "bf16": 2e9}, PEAKS.copies, "by hand")
    assert network_bound_ms(Work(layers), with_bf16, "int8") == pytest.approx(2.0 + 0.5)


def test_the_better_of_two_measurements_counts() -> None:
    other = Peaks({"fp32": 2e9, "int8": 3e9}, (Copy(1 << 10, 7e9), Copy(1 << 20, 2e9)), "by hand")
    merged = PEAKS.merged(other)
    assert merged.macs_per_second == {"fp32": 2e9, "int8": 4e9}
    assert [copy.bytes_per_second for copy in merged.copies] == [8e9, 2e9]
    assert math.isclose(merged.memory_bandwidth, 2e9)
