"""A backend that computes brightness, at the pace that a test sets."""

import threading

import numpy as np

from br2net.errors import BackendError
from br2net.runtime.backend import Backend, HostRequest
from br2net.runtime.metadata import ModelMetadata, Normalisation
from br2net.types import Batch

PATIENCE_S = 20.0


class FakeBackend(Backend):
    """The map is the red channel, 0..1, at 64x32. With `paced`, each run waits until the test releases `permits`.

    Subclasses override `infer` to change what one run computes. A batch of black frames counts as warming up.

    Attributes:
        batch_sizes: sizes of the batches that were run, in order.
        requests: requests that were made, in order.
    """

    name = "fake"
    device = "CPU"
    precision = "fp32"

    def __init__(self, concurrency: int = 1, paced: bool = False, fails_at: int = -1) -> None:
        super().__init__()
        normalisation = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.metadata = ModelMetadata("fake", "{}", "none", 64, 32, normalisation)
        self.width, self.height, self.concurrency = 64, 32, concurrency
        self.permits = threading.Semaphore(0)
        self.called = threading.Semaphore(0)
        self.batch_sizes: list[int] = []
        self.requests: list[HostRequest] = []
        self._paced, self._fails_at = paced, fails_at

    def _new_request(self, batch: int) -> HostRequest:
        self.requests.append(HostRequest(self, batch, lambda tensor: self.infer(tensor)))
        return self.requests[-1]

    def infer(self, batch: Batch) -> Batch:
        """Compute maps `(N, 1, h, w)` of network input `(N, 3, h, w)`."""
        if not batch.any():
            return np.zeros((len(batch), 1, self.height, self.width), np.float32)
        if len(self.batch_sizes) == self._fails_at:
            raise BackendError("The engine broke.")
        self.batch_sizes.append(len(batch))
        self.called.release()
        if self._paced:
            assert self.permits.acquire(timeout=PATIENCE_S), "the test gave no permit"
        return batch[:, :1].copy()

    def wait_for_call(self) -> None:
        """Wait until a run has begun that was not waited for before."""
        assert self.called.acquire(timeout=PATIENCE_S), "the pipeline called no inference"
