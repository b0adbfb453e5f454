"""CUDA graphs, which pycuda lacks, by `cuda.bindings` of cuda-python on pycuda's streams."""

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from br2net.errors import CudaError
from br2net.log import warn_once
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.cuda.interface import Stream
from br2net.runtime.cuda.resources import Owner, Resource

_log = logging.getLogger(__name__)


@functools.cache
def find_bindings() -> Any:
    """Return `cuda.bindings.driver`, or None where cuda-python is not installed, which it warns of once."""
    try:
        from cuda.bindings import driver
    except ImportError:
        warn_once(_log, "cuda-python is not installed, so engines run without CUDA graphs; `pip install cuda-python`.")
        return None
    return driver


class BoundGraph(Resource):
    """Work that was captured from a stream, in the mode that other threads' calls do not disturb."""

    def __init__(self, owner: Owner, stream: Stream, work: Callable[[], None]) -> None:
        self._driver = find_bindings()
        if self._driver is None:
            raise CudaError("A CUDA graph needs cuda-python, which is not installed; `pip install cuda-python`.")
        self._graph: Any = None
        self._executable: Any = None
        super().__init__(owner)
        driver = self._driver
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        try:
            self._call("capturing a graph", driver.cuStreamBeginCapture, stream.handle, mode)
            try:
                work()
            except BaseException:
                with suppress(CudaError):  # what broke the capture is on its way already
                    self._graph = self._call("ending a capture", driver.cuStreamEndCapture, stream.handle)
                raise
            self._graph = self._call("capturing a graph", driver.cuStreamEndCapture, stream.handle)
            self._executable = self._call("making a graph", driver.cuGraphInstantiate, self._graph, 0)
        except BaseException:
            with suppress(CudaError):
                self.close()
            raise

    def launch(self, stream: Stream) -> None:
        """Give the work to the stream."""
        self._call("starting a graph", self._driver.cuGraphLaunch, self._executable, stream.handle)

    def _call(self, doing: str, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        """Return the value of a call of the driver, whose first part is CUDA's return code."""
        with self.use(doing):
            return self._checked(doing, function(*arguments))

    def _checked(self, doing: str, result: tuple[Any, ...]) -> Any:
        code, *values = result
        if code != self._driver.CUresult.CUDA_SUCCESS:
            _, text = self._driver.cuGetErrorString(code)
            raise cuda_error(text.decode() if text else str(code), doing)
        return values[0] if values else None

    def _free(self) -> None:
        if self._executable is not None:
            self._checked("closing a graph", self._driver.cuGraphExecDestroy(self._executable))
        if self._graph is not None and int(self._graph):
            self._checked("closing a graph", self._driver.cuGraphDestroy(self._graph))
