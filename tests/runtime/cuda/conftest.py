from collections.abc import Iterator

import pytest

from br2net.runtime.cuda import Cuda, open_cuda

from .gpu import why_no_gpu
from .host_memory import SCHEDULES, HostMemoryCuda


@pytest.fixture(params=[*SCHEDULES, pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda(request: pytest.FixtureRequest) -> Iterator[Cuda]:
    """The same calls in host memory, at three schedules, and on a GPU."""
    if request.param != "gpu":
        with HostMemoryCuda(schedule=request.param) as device:
            yield device
        return
    if why_no_gpu():
        pytest.skip(why_no_gpu())
    with open_cuda() as real:
        yield real


@pytest.fixture(params=["latest", "random"])
def host(request: pytest.FixtureRequest) -> Iterator[HostMemoryCuda]:
    """Host memory alone, for what is wrong on purpose."""
    yield HostMemoryCuda(schedule=request.param)
