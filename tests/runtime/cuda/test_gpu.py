"""On a GPU, with PyTorch in the same process: who comes and who goes first does not matter."""

from typing import Any

import numpy as np
import pytest

from br2net.runtime.cuda import open_cuda
from br2net.runtime.cuda.device_map import DeviceMap

from .gpu import why_no_gpu


def _why_not() -> str:
    if why_no_gpu():
        return why_no_gpu()
    try:
        import torch
    except ImportError:
        return "PyTorch is not installed"
    return "" if torch.cuda.is_available() else "this PyTorch has no CUDA"


pytestmark = [pytest.mark.gpu, pytest.mark.skipif(bool(_why_not()), reason=_why_not() or "runs")]
SHAPE = (32, 64)


def use_torch() -> Any:
    import torch

    numbers = torch.arange(1000, device="cuda", dtype=torch.float32)
    assert float((numbers * 2).sum()) == 999000.0
    return numbers


def use_ours() -> DeviceMap:
    with open_cuda() as cuda:
        values = np.random.default_rng(0).random(SHAPE, np.float32)
        with cuda.active(), cuda.host_buffer(values.nbytes) as there, cuda.stream() as stream:
            buffer = cuda.device_buffer(values.nbytes, outlives=True)
            there.view(SHAPE, np.float32)[...] = values
            cuda.upload(buffer, there, values.nbytes, stream)
            stream.synchronize()
            return DeviceMap(cuda, buffer, SHAPE)


@pytest.mark.parametrize("order", ["torch first", "ours first"])
def test_both_work_whoever_came_first(order: str) -> None:
    if order == "torch first":
        use_torch()
    maps = use_ours()
    kept = use_torch()
    maps.close()
    use_ours().close()
    assert float(kept[-1]) == 999.0
    use_torch()


def test_pytorch_takes_the_maps_and_keeps_them() -> None:
    import torch

    maps = use_ours()
    taken = torch.from_dlpack(maps)
    assert taken.is_cuda and taken.data_ptr() == maps.address
    maps.close()
    expected = np.random.default_rng(0).random(SHAPE, np.float32)
    assert np.array_equal(taken.cpu().numpy(), expected)
    del taken
    use_torch()


def test_pytorch_does_not_lose_its_current_device() -> None:
    import torch

    before = torch.cuda.current_device()
    use_ours().close()
    assert torch.cuda.current_device() == before
    use_torch()
