"""The GPU measurement on a backend with a device clock whose times are known; real figures need a GPU."""

import pytest

from benchmarks.scripts import gpu
from br2net.runtime.backend import DeviceTimes, HostRequest
from tests.fake_backend import FakeBackend


class ClockedRequest(HostRequest):
    def device_times(self) -> DeviceTimes:
        return DeviceTimes(0.5, 2.0, 0.25, 0.1)


class ClockedBackend(FakeBackend):
    depth = 3

    def _new_request(self, batch: int) -> HostRequest:
        return ClockedRequest(self, batch, self.infer)


def test_device_times_and_rates_are_those_of_the_largest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROUNDS", 5)
    monkeypatch.setattr(gpu, "WARM_UP", 1)
    backend = ClockedBackend()
    found = gpu.measure(backend, ClockedBackend())
    assert found["batch"] == backend.largest_batch
    times = {"upload_ms": 0.5, "compute_ms": 2.0, "download_ms": 0.25, "enqueue_ms": 0.1}
    assert found["device"] == {"graph": times, "enqueued": times}
    assert set(backend.batch_sizes) == {backend.largest_batch}
    assert len(backend.batch_sizes) == 6 + 2 * 2 * gpu.BATCHES  # device rounds, then two ways in two rounds each
