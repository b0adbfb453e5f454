"""The least time of each stage of a row: what it has to compute and to move, against the machine's peaks."""

from dataclasses import replace

from br2net.benchmarks.latency.entries import Entry
from br2net.benchmarks.latency.record import Row
from br2net.benchmarks.latency.roofline import Peaks, network_bound_ms
from br2net.benchmarks.latency.work import Work, work_of_network, work_of_onnx
from br2net.errors import Br2netError


def counted(entry: Entry) -> Work | None:
    """The work of a contestant: of its ONNX file, of the one beside an engine, or of PyTorch's plain network."""
    backend, path = entry.backend, entry.subject.path
    if backend.name == "torch":
        from br2net.network import BR2NetConfig

        config = BR2NetConfig.from_json(backend.metadata.architecture)
        return work_of_network(config, backend.width, backend.height)
    try:
        return work_of_onnx(path.with_suffix(".onnx"), (backend.width, backend.height))
    except Br2netError:
        return None


def with_bounds(row: Row, work: Work | None, peaks: Peaks | None, frame: tuple[int, int]) -> Row:
    """The row with the least time of each stage, for one batch; unchanged where the work or the peaks are not known.

    Before and after the network a stage has at least to read and to write what it is given and gives: a frame of 8-bit
    BGR and a batch of float32, a map and a map of the frame's size. Where the network reads and writes is in its layers.
    """
    if peaks is None:
        return row
    pixels, frame_pixels = row.width * row.height * row.batch, frame[0] * frame[1] * row.batch
    moved = {"preprocess": 3 * frame_pixels + 12 * pixels, "postprocess": 4 * pixels + 4 * frame_pixels}
    bounds = {name: count / peaks.bandwidth(count) * 1000.0 for name, count in moved.items()}
    if work is not None and row.macs:
        bounds["inference"] = network_bound_ms(work, peaks, row.precision, row.batch) * row.batch
    layers = tuple(
        replace(layer, bound_ms=peaks.bound_ms(layer.macs, layer.bytes_moved, layer.precision)) for layer in row.layers
    )
    return replace(row, bounds_ms=bounds, layers=layers)
