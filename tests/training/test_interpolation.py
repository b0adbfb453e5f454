"""Interpolating weights: the definition, and the choice on held-out photographs."""

import copy

import cv2
import numpy as np
import torch

from br2net.network import BR2Net, BR2NetConfig
from br2net.runtime.metadata import SYMMETRIC
from br2net.runtime.preprocessing import preprocess
from br2net.training.data import HeldOutSet, Sample
from br2net.training.interpolation import SHARES, choose_interpolation, interpolate

CONFIG = BR2NetConfig(backbone="mobilenet_v2", width=4, l2h_level=1, h2l_level=3)


def two_networks() -> tuple[BR2Net, BR2Net]:
    torch.manual_seed(0)
    return BR2Net(CONFIG).eval(), BR2Net(CONFIG).eval()


def test_weights_and_running_statistics_lie_between() -> None:
    start, end = two_networks()
    first, last = ({name: item.numpy() for name, item in model.state_dict().items()} for model in (start, end))
    between = interpolate(start, end, 0.25).state_dict()
    for name, value in between.items():
        if value.dtype.is_floating_point:
            assert np.allclose(value.numpy(), 0.75 * first[name] + 0.25 * last[name], atol=1e-6)
    assert all(np.array_equal(value.numpy(), last[name]) for name, value in end.state_dict().items())  # untouched


def test_the_one_of_the_smallest_error_is_chosen() -> None:
    start, _ = two_networks()
    end = copy.deepcopy(start)
    with torch.no_grad():
        for model, bias in ((start, -4.0), (end, 6.0)):  # maps of about 0 and of about 1 everywhere
            for pathway in (model.l2h, model.h2l):
                assert pathway is not None and pathway.start.bias is not None
                pathway.start.weight.zero_()
                pathway.start.bias.fill_(bias)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sample = Sample(image, np.full((64, 64), 0.5, np.float32), "half")
    _, share = choose_interpolation(start, end, [HeldOutSet("half", [sample])], 64, SYMMETRIC)
    errors = []
    for candidate in SHARES:
        with torch.inference_mode():
            blur = interpolate(start, end, candidate)(torch.from_numpy(preprocess([image], 64, 64, SYMMETRIC)))
        errors.append(np.abs(cv2.resize(blur[0, 0].numpy(), (64, 64)) - 0.5).mean())
    assert share == SHARES[int(np.argmin(errors))] and 0.0 < share < 1.0
