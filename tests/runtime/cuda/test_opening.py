"""Opening a GPU, where there is none."""

import sys

import pytest

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.cuda import opening
from br2net.runtime.cuda.opening import open_cuda, parse_device
from br2net.runtime.gpu import Gpu


@pytest.mark.parametrize(("text", "index"), [("auto", 0), ("cuda", 0), ("GPU", 0), ("cuda:1", 1), ("gpu:12", 12)])
def test_a_device_is_named_as_elsewhere(text: str, index: int) -> None:
    assert parse_device(text) == index


@pytest.mark.parametrize("text", ["cpu", "cuda:", "cuda:x", "0", "", "cuda:1:2"])
def test_another_device_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="cuda:1 for the second GPU"):
        parse_device(text)


def test_no_gpu_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_gpu", lambda index=0: None)
    with pytest.raises(BackendError, match="no NVIDIA GPU or driver here"):
        open_cuda()


def test_a_second_gpu_that_is_not_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_gpu", lambda index=0: None if index else Gpu("x", "8.9"))
    with pytest.raises(InputError, match="no GPU number 1"):
        open_cuda(1)


def test_pycuda_that_is_missing_is_one_sentence_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_gpu", lambda index=0: Gpu("x", "8.9"))
    monkeypatch.setitem(sys.modules, "pycuda", None)
    monkeypatch.setitem(sys.modules, "pycuda.driver", None)
    with pytest.raises(MissingDependencyError, match="pip install pycuda"):
        open_cuda()
