"""The host test bed for tests: import `testbed` into a conftest."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import loader


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """NVIDIA's parser and builder of TensorRT for RTX, as `tensorrt_rtx`, on this machine without a GPU."""
    missing = loader.why_not()
    if missing:
        pytest.skip(f"no host test bed: {missing}")
    folder = tmp_path_factory.mktemp("testbed")
    loader.build_forwarders(folder)
    before = sys.modules.get("tensorrt_rtx")
    sys.modules["tensorrt_rtx"] = loader.load(folder)
    yield folder
    if before is None:
        del sys.modules["tensorrt_rtx"]
