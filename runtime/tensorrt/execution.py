"""One execution context of an engine: bound to buffers, given a shape, and run, from the second time on as a CUDA graph."""

import logging

from br2net.errors import BackendError, CudaError
from br2net.runtime.cuda.errors import cuda_error
from br2net.runtime.cuda.interface import Cuda, Event, Graph, Stream
from br2net.runtime.tensorrt.engine import INPUT, OUTPUT, Engine

_log = logging.getLogger(__name__)
Shape = tuple[int, int, int, int]


class Execution:
    """Runs on one stream. Everything is called inside `cuda.active()`; the buffers belong to the caller and outlive it."""

    def __init__(self, cuda: Cuda, engine: Engine, stream: Stream, *, graphs: bool) -> None:
        self._cuda, self._engine, self._stream = cuda, engine, stream
        self._context = engine.new_context()
        self._graphs = graphs and cuda.can_capture
        self._graph: Graph | None = None
        self._warm = False
        self._shape: Shape | None = None
        self._bound: tuple[int, int] | None = None

    @property
    def wants_graph(self) -> bool:
        """Whether it runs as a graph once it is warm; then it keeps to one pair of addresses."""
        return self._graphs

    @property
    def runs_graph(self) -> bool:
        """Whether the last run was the replay of a graph."""
        return self._graph is not None

    def bind(self, input_address: int, output_address: int) -> None:
        """Where the input is read and the output written."""
        if self._bound == (input_address, output_address):
            return
        self._bound = (input_address, output_address)
        self._must(self._context.set_tensor_address(INPUT, input_address), "use the input buffer")
        self._must(self._context.set_tensor_address(OUTPUT, output_address), "use the output buffer")

    def tell_consumed(self, event: Event) -> None:
        """Have TensorRT record `event` once it has read its input. Not with graphs: a capture cannot hold it."""
        self._must(self._context.set_input_consumed_event(event.handle or 0), "tell when it consumed its input")

    def set_shape(self, shape: Shape) -> None:
        """Shape of the input of the next runs, `(N, 3, h, w)`; another one ends the graph."""
        if shape == self._shape:
            return
        self._stream.synchronize()  # a graph in flight is of the old shape
        self._end_graph()
        self._must(self._context.set_input_shape(INPUT, shape), f"take a batch of {shape}")
        self._shape = shape

    def run(self) -> None:
        """Give one run to the stream.

        Raises:
            BackendError: if CUDA or TensorRT fails.
        """
        if not self._graphs:
            self._enqueue()
        elif self._graph is not None:
            self._graph.launch(self._stream)
        elif not self._warm:  # the first run at a shape prepares what must not be prepared during a capture
            self._enqueue()
            self._warm = True
        else:
            self._stream.synchronize()
            try:
                self._graph = self._cuda.capture(self._stream, self._enqueue)
            except BackendError as error:
                if isinstance(error, CudaError) and error.sticky:
                    raise
                _log.warning("This engine cannot be captured in a CUDA graph and runs without one (%s)", error)
                self._graphs = False
                self._enqueue()
                return
            self._graph.launch(self._stream)

    def close(self) -> None:
        """Free graph and context; the stream is synchronised."""
        self._end_graph()
        del self._context

    def _enqueue(self) -> None:
        self._must(self._context.execute_async_v3(self._stream.handle), "run the engine")

    def _end_graph(self) -> None:
        if self._graph is not None:
            self._graph.close()
        self._graph, self._warm = None, False

    def _must(self, done: bool, what: str) -> None:
        """Raise what TensorRT logged where it reports a failure."""
        if not done:
            said = self._engine.log()
            failure = cuda_error(said, "running the engine")
            if failure.sticky or "memory" in said.lower():
                raise failure
            raise BackendError(f"TensorRT cannot {what}: {said or 'no reason given'}.")
