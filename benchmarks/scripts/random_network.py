"""A network with random weights whose batch statistics come from photographs, as an ONNX file: for work on speed and INT8.

Run it by hand: `python -m benchmarks.scripts.random_network NETWORK FILE.onnx IMAGES`. With the statistics that a fresh network
starts with, its activations would grow or vanish from layer to layer, and INT8 would be judged on values that no trained
network has.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from br2net.builder.export import ExportOptions, export_onnx
from br2net.network import NAMED_CONFIGS, BR2Net, Checkpoint
from br2net.network.checkpoint import ModelFacts
from br2net.runtime.images import list_images, read_image
from br2net.runtime.metadata import IMAGENET
from br2net.runtime.preprocessing import preprocess
from br2net.types import Frame

SIZE, COUNT, BATCH = 320, 16, 4


def random_network(name: str, frames: Sequence[Frame], size: int = SIZE, seed: int = 0) -> Checkpoint:
    """Make a network of random weights, with the batch statistics of `frames`, uint8 `(H, W, 3)` BGR each."""
    torch.manual_seed(seed)
    network, facts = BR2Net(NAMED_CONFIGS[name]), ModelFacts(f"{name}-random", size, size)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain average over all batches
    network.train()
    with torch.no_grad():
        for start in range(0, len(frames), BATCH):
            network(torch.from_numpy(preprocess(frames[start : start + BATCH], size, size, IMAGENET)))
    return Checkpoint(network.eval(), facts)


def main() -> None:
    """Make the network and export it."""
    parser = argparse.ArgumentParser(description="A network with random weights and real batch statistics, as ONNX.")
    parser.add_argument("network", choices=sorted(NAMED_CONFIGS))
    parser.add_argument("output", type=Path)
    parser.add_argument("images", help="folder of photographs; the first 16 by name are taken")
    options = parser.parse_args()
    frames = [read_image(path) for path in list_images([options.images])[:COUNT]]
    export_onnx(random_network(options.network, frames), options.output, ExportOptions())


if __name__ == "__main__":
    main()
