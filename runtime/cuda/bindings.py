"""What pycuda lacks, by `cuda.bindings` of cuda-python on pycuda's streams: graphs, and events that have a handle."""

import functools
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from br2net.errors import CudaError
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.cuda.interface import Event, Stream
from br2net.runtime.cuda.resources import Resource

if TYPE_CHECKING:
    from br2net.runtime.cuda.device import PycudaDevice

_log = logging.getLogger(__name__)


class Bindings:
    """`cuda.bindings.driver`, with return codes checked.

    Raises:
        ImportError: if cuda-python is not installed.
    """

    def __init__(self) -> None:
        from cuda.bindings import driver

        self.driver = driver

    def call(self, doing: str, result: tuple[Any, ...]) -> Any:
        """The value of a call, whose first part is CUDA's return code.

        Raises:
            CudaError: if that is not success.
        """
        code, *values = result
        if code != self.driver.CUresult.CUDA_SUCCESS:
            _, text = self.driver.cuGetErrorString(code)
            raise cuda_error(text.decode() if text else str(code), doing)
        return values[0] if values else None

    def wait(self, stream_handle: int, event: Event) -> None:
        """Let a stream wait for an event that has a handle."""
        if event.handle is None:
            raise CudaError("The event was not made by the same device.")
        self.call("ordering two streams", self.driver.cuStreamWaitEvent(stream_handle, event.handle, 0))


class BoundResource(Resource):
    """Something made by `cuda.bindings`."""

    def call(self, doing: str, function: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
        """Call the driver inside `use`; a sticky fault ends the context for all."""
        with self.use(doing):
            try:
                return self.owner.bindings.call(doing, function(*arguments))
            except CudaError as error:
                if error.sticky and self.owner.context.fault is None:
                    self.owner.context.abandon(error)
                raise


class BoundEvent(BoundResource):
    """An event whose handle TensorRT can be given."""

    def __init__(self, owner: "PycudaDevice", timed: bool) -> None:
        super().__init__(owner)
        driver = owner.bindings.driver
        flags = driver.CUevent_flags.CU_EVENT_DEFAULT if timed else driver.CUevent_flags.CU_EVENT_DISABLE_TIMING
        self._event = self.call("making an event", driver.cuEventCreate, int(flags))

    @property
    def handle(self) -> int:
        """CUDA's handle."""
        return int(self._event)

    def record(self, stream: Stream) -> None:
        """Set the point."""
        self.call("recording an event", self.owner.bindings.driver.cuEventRecord, self._event, stream.handle)

    def synchronize(self) -> None:
        """Wait until the point is reached."""
        self.call("waiting for its work", self.owner.bindings.driver.cuEventSynchronize, self._event)

    def milliseconds_since(self, earlier: Event) -> float:
        """Time between the two."""
        arguments = (earlier.handle, self._event)
        return float(self.call("timing its work", self.owner.bindings.driver.cuEventElapsedTime, *arguments))

    def _free(self) -> None:
        self.owner.bindings.call("closing an event", self.owner.bindings.driver.cuEventDestroy(self._event))


class BoundGraph(BoundResource):
    """Work that was captured from a stream, in the mode that other threads' calls do not disturb."""

    def __init__(self, owner: "PycudaDevice", stream: Stream, work: Callable[[], None]) -> None:
        super().__init__(owner)
        driver = owner.bindings.driver
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._graph: Any = None
        self._executable: Any = None
        try:
            self.call("capturing a graph", driver.cuStreamBeginCapture, stream.handle, mode)
            try:
                work()
            except BaseException:
                with suppress(CudaError):  # what broke the capture is told already
                    self._graph = self.call("ending a capture", driver.cuStreamEndCapture, stream.handle)
                raise
            self._graph = self.call("capturing a graph", driver.cuStreamEndCapture, stream.handle)
            self._executable = self.call("making a graph", driver.cuGraphInstantiate, self._graph, 0)
        except BaseException:
            with suppress(CudaError):
                self.close()
            raise

    def launch(self, stream: Stream) -> None:
        """Give the work to the stream."""
        driver = self.owner.bindings.driver
        self.call("starting a graph", driver.cuGraphLaunch, self._executable, stream.handle)

    def _free(self) -> None:
        bindings = self.owner.bindings
        if self._executable is not None:
            bindings.call("closing a graph", bindings.driver.cuGraphExecDestroy(self._executable))
        if self._graph is not None and int(self._graph):
            bindings.call("closing a graph", bindings.driver.cuGraphDestroy(self._graph))


@functools.cache
def find_bindings() -> Bindings | None:
    """`cuda.bindings`, or None where cuda-python is not installed, which is said once."""
    try:
        return Bindings()
    except ImportError:
        _log.warning(
            "cuda-python is not installed, so engines run without CUDA graphs; `pip install cuda-python` brings it."
        )
        return None
