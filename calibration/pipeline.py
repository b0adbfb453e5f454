"""`calibrate`: from a float32 ONNX file and a calibration set to an INT8 file that passed the gate."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from br2net.builder.inspection import inspect_onnx
from br2net.calibration.auto import keep_least
from br2net.calibration.cache import CalibrationKey, cached_calibration, tool_versions
from br2net.calibration.gate import GateImage, GateLimits, GateResult, compare
from br2net.calibration.inference import Batch, maps_of
from br2net.calibration.layers import Layer, find_layers, matching
from br2net.calibration.manifest import Manifest
from br2net.calibration.quantiser import Calibration, Quantiser, calibrate_layers
from br2net.calibration.sensitivity import By, Sensitivity, drift_of, measure_sensitivity, worst
from br2net.calibration.thresholds import METHODS, Histograms, Method, measure_histograms
from br2net.calibration.writing import check_by_openvino, save_int8
from br2net.errors import GateError, InputError
from br2net.files import sha256_of, written_whole
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.model_file import ModelFile, read_model_file
from br2net.runtime.preprocessing import preprocess

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

DEFAULT_KEEP = ("gate", "map")
FEW = 16  # images that sensitivity is measured on
CHOOSING = 64  # images that a method is chosen by; their drifts are closer than sixteen could tell apart
SHOWN = 4  # images whose maps the report shows

Remainder = Literal["fp32", "fp16"]


@dataclass(frozen=True)
class CalibrationOptions:
    """How to calibrate.

    Attributes:
        methods: one, or several of which the one with the least drift on the calibration images is taken.
        keep: kinds, blocks and labels of layers that stay float32.
        correct_bias: whether biases make up for the mean shift of rounding.
        remainder: what everything but the INT8 layers computes in.
        limits: of the gate.
        accept_drift: write the file even though the gate does not hold.
        auto: keep further layers in float32, as few as needed, where the gate does not hold.
        sensitivity: measure it, by layer or block, whatever the gate says; None where it is not needed.
    """

    methods: tuple[Method, ...] = ("mse",)
    keep: tuple[str, ...] = DEFAULT_KEEP
    correct_bias: bool = True
    remainder: Remainder = "fp32"
    limits: GateLimits = field(default_factory=GateLimits)
    accept_drift: bool = False
    auto: bool = False
    sensitivity: By | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.methods if name not in METHODS]
        if unknown or not self.methods:
            raise InputError(f"There is no method {', '.join(unknown)}; there are {', '.join(METHODS)}, and all.")
        if self.remainder not in get_args(Remainder):
            raise InputError(f"The remainder can be {' or '.join(get_args(Remainder))}, not {self.remainder}.")


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of the gate: frame uint8 `(h, w, 3)` BGR, float32 maps `(h, w)` of both files, their mean difference."""

    name: str
    frame: "NDArray[np.uint8]"
    float32: "NDArray[np.float32]"
    int8: "NDArray[np.float32]"
    difference: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """A calibration that ended.

    Attributes:
        metadata: of the INT8 file.
        method: that was taken.
        methods: what the gate measured for each method, before `auto`.
        gate: what it measured for the file, by ONNX Runtime.
        openvino: the same by OpenVINO, as it runs the file here; None where the file was not written.
        layers: all that could be INT8.
        kept: labels of those that stayed float32.
        samples: the images of the gate whose maps differ most, the worst first.
        int8_macs: share of the multiply-accumulates in INT8 layers.
        float32_bytes, int8_bytes: of the files.
        sensitivity: where it was measured.
        reused: methods whose calibration was kept from an earlier run.
        limits: of the gate; the file was written in spite of them if drift was accepted.
    """

    metadata: ModelMetadata
    method: Method
    methods: dict[Method, GateResult]
    gate: GateResult
    openvino: GateResult | None
    layers: tuple[Layer, ...]
    kept: tuple[str, ...]
    samples: tuple[Sample, ...]
    int8_macs: float
    float32_bytes: int
    int8_bytes: int
    sensitivity: tuple[Sensitivity, ...]
    reused: tuple[Method, ...]
    limits: GateLimits

    @property
    def broken(self) -> tuple[str, ...]:
        """Limits that do not hold for the file, by ONNX Runtime or by OpenVINO, one clause each."""
        broken = tuple(self.limits.broken_by(self.gate))
        if broken or self.openvino is None:
            return broken
        return tuple(f"by OpenVINO {clause}" for clause in self.limits.broken_by(self.openvino))


class RefusedError(GateError):
    """The gate does not hold; `outcome` is what was measured."""

    def __init__(self, text: str, outcome: Outcome) -> None:
        super().__init__(text)
        self.outcome = outcome


def calibrate(
    model: Path,
    output: Path,
    frames: "Sequence[NDArray[np.uint8]]",
    manifest: Manifest,
    gate_images: Sequence[GateImage],
    options: CalibrationOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Write the INT8 form of a float32 ONNX file, if the gate holds.

    Args:
        model: exported by br2net, float32, batch 1 or any.
        output: the ONNX file to write.
        frames: the calibration set, uint8 `(h, w, 3)` BGR each.
        manifest: of this set.
        gate_images: none of them in the set.
        options: how.
        say: told what is being done, for a progress line.

    Raises:
        InputError, ModelError: if the file or an option is not fit.
        RefusedError: if the gate does not hold and drift is not accepted; its text names the layers that did it.
            Nothing is written then.
    """
    options = options or CalibrationOptions()
    return _Run(model, output, manifest, gate_images, options, say).run(frames)


class _Run:
    """One calibration, step by step."""

    def __init__(
        self,
        model: Path,
        output: Path,
        manifest: Manifest,
        gate_images: Sequence[GateImage],
        options: CalibrationOptions,
        say: Callable[[str], None],
    ) -> None:
        self._path, self._output, self._options, self._say = model, output, options, say
        self._manifest, self._gate_images = manifest, gate_images
        self._file = fit_model(model)
        self._layers = find_layers(model)
        if not self._layers:
            raise InputError(f"{model} has no convolution with constant weights, so nothing can be INT8.")
        self._keep = matching(self._layers, options.keep)
        if len(self._keep) == len(self._layers):
            raise InputError(f"With {', '.join(options.keep)} kept, no layer of {model} is left to be INT8.")
        self._gate_batches = self._batches([image.frame for image in gate_images])
        self._reused: list[Method] = []
        self._histograms: Histograms | None = None

    def run(self, frames: "Sequence[NDArray[np.uint8]]") -> Outcome:
        batches = self._batches(frames)
        self._few, self._choosing = (batches[:: max(len(batches) // count, 1)][:count] for count in (FEW, CHOOSING))
        quantisers = {method: Quantiser(self._path, self._calibration(method, batches)) for method in self._methods()}
        first = next(iter(quantisers.values()))
        self._say("float32 maps of the gate's images")
        self._references = maps_of(first.float32(), self._gate_batches)
        results = {}
        for method, quantiser in quantisers.items():
            self._say(f"the gate, {method}")
            results[method] = self._gate(quantiser.int8(self._keep))
        method = self._best(quantisers)
        return self._finish(method, quantisers[method], results)

    def _finish(self, method: Method, quantiser: Quantiser, results: dict[Method, GateResult]) -> Outcome:
        options, kept = self._options, self._keep
        broken = options.limits.broken_by(results[method])
        sensitivity: tuple[Sensitivity, ...] = ()
        if broken or options.sensitivity is not None:
            sensitivity = self._sensitivity(quantiser)
        if broken and options.auto:
            kept = keep_least(sensitivity, kept, lambda nodes: self._holds(quantiser, nodes)) or kept
            sensitivity = tuple(replace(item, stays=set(item.group.nodes) <= kept) for item in sensitivity)
        int8 = self._int8(quantiser, kept)
        maps = maps_of(int8, self._gate_batches)
        gate = compare(self._gate_images, maps, self._references)
        outcome = self._outcome(method, results, gate, kept, self._samples(maps), sensitivity)
        self._refuse_if_broken(outcome, quantiser)
        return self._write(int8, outcome, quantiser)

    def _write(self, int8: "ModelProto", outcome: Outcome, quantiser: Quantiser) -> Outcome:
        self._say("writing")
        facts = {
            "method": outcome.method,
            "remainder": self._options.remainder,
            "set": self._manifest.digest(),
            "tools": tool_versions(),
        }
        with (
            written_whole(self._output) as temporary,
            written_whole(manifest_path(self._output)) as temporary_manifest,
        ):
            save_int8(int8, temporary, outcome.metadata, facts)
            self._say("the gate, by OpenVINO")
            maps = check_by_openvino(temporary, self._gate_batches)
            outcome = replace(outcome, openvino=compare(self._gate_images, maps, self._references))
            self._refuse_by_openvino(outcome)
            outcome = replace(outcome, metadata=_with_figures(outcome.metadata, outcome.gate))
            save_int8(int8, temporary, outcome.metadata, facts)
            temporary_manifest.write_text(self._manifest.to_json(), encoding="utf-8")
            return replace(outcome, int8_bytes=temporary.stat().st_size)

    def _refuse_by_openvino(self, outcome: Outcome) -> None:
        if outcome.broken and not self._options.accept_drift:
            raise RefusedError(
                f"{self._output} is not written: {' and '.join(outcome.broken)}. By ONNX Runtime the limits "
                "hold, so what adds the rest is how OpenVINO computes here what is not INT8 (in bfloat16 on many "
                "processors); --accept-drift writes the file as it is.",
                outcome,
            )

    def _refuse_if_broken(self, outcome: Outcome, quantiser: Quantiser) -> None:
        if not outcome.broken or self._options.accept_drift:
            return
        sensitivity = outcome.sensitivity or self._sensitivity(quantiser)
        outcome = replace(outcome, sensitivity=sensitivity)
        names = ", ".join(item.group.name for item in worst(sensitivity, 3))
        advice = "no choice of layers made it hold" if self._options.auto else "--auto keeps the worst in float32"
        raise RefusedError(
            f"{self._output} is not written: {' and '.join(outcome.broken)}. Most of it comes from {names}; "
            f"{advice}, and --accept-drift writes the file as it is.",
            outcome,
        )

    def _int8(self, quantiser: Quantiser, kept: Collection[str]) -> "ModelProto":
        if self._options.remainder == "fp32":
            return quantiser.int8(kept)
        self._say("casting the remainder to float16")
        return quantiser.int8_in_fp16(kept, self._few)

    def _sensitivity(self, quantiser: Quantiser) -> tuple[Sensitivity, ...]:
        by = self._options.sensitivity or "layer"
        return measure_sensitivity(quantiser, self._keep, by, self._few, self._count(f"{by}s measured"))

    def _samples(self, maps: "Sequence[NDArray[np.float32]]") -> tuple[Sample, ...]:
        samples = [
            Sample(image.name, image.frame, reference, found, float(abs(found - reference).mean()))
            for image, found, reference in zip(self._gate_images, maps, self._references, strict=True)
        ]
        return tuple(sorted(samples, key=lambda item: item.difference, reverse=True)[:SHOWN])

    def _outcome(
        self,
        method: Method,
        results: dict[Method, GateResult],
        gate: GateResult,
        kept: Collection[str],
        samples: tuple[Sample, ...],
        sensitivity: tuple[Sensitivity, ...],
    ) -> Outcome:
        metadata = self._file.metadata
        macs = sum(layer.macs for layer in self._layers if layer.node not in kept)
        return Outcome(
            metadata=replace(metadata.with_precision("int8"), name=f"{metadata.name}-int8"),
            method=method,
            methods=results,
            gate=gate,
            openvino=None,
            layers=self._layers,
            kept=tuple(layer.label for layer in self._layers if layer.node in kept),
            samples=samples,
            int8_macs=macs / max(inspect_onnx(self._path).macs, 1),
            float32_bytes=self._path.stat().st_size,
            int8_bytes=0,
            sensitivity=sensitivity,
            reused=tuple(self._reused),
            limits=self._options.limits,
        )

    def _methods(self) -> tuple[Method, ...]:
        return tuple(dict.fromkeys(self._options.methods))

    def _calibration(self, method: Method, batches: Sequence[Batch]) -> Calibration:
        correct = self._options.correct_bias
        key = CalibrationKey(sha256_of(self._path), self._manifest.digest(), method, correct, tool_versions())

        def measure() -> Calibration:
            if self._histograms is None:
                self._say("measuring what flows through the layers")
                self._histograms = measure_histograms(self._path, self._layers, batches)
            self._say(f"calibrating, {method}")
            return calibrate_layers(self._path, self._layers, self._histograms, batches, method, correct)

        found, was_kept = cached_calibration(key, measure)
        if was_kept:
            self._reused.append(method)
        return found

    def _best(self, quantisers: dict[Method, Quantiser]) -> Method:
        """The method of least drift on images of the calibration set, so that the gate's stay unseen."""
        if len(quantisers) == 1:
            return next(iter(quantisers))
        self._say("comparing methods")
        references = maps_of(next(iter(quantisers.values())).float32(), self._choosing)
        drifts = {
            method: drift_of(maps_of(quantiser.int8(self._keep), self._choosing), references).mae
            for method, quantiser in quantisers.items()
        }
        return min(drifts, key=lambda method: drifts[method])

    def _gate(self, int8: "ModelProto") -> GateResult:
        return compare(self._gate_images, maps_of(int8, self._gate_batches), self._references)

    def _holds(self, quantiser: Quantiser, nodes: Collection[str]) -> bool:
        self._say(f"trying {len(nodes)} layers in float32")
        return not self._options.limits.broken_by(self._gate(quantiser.int8(nodes)))

    def _batches(self, frames: "Sequence[NDArray[np.uint8]]") -> list[Batch]:
        facts = self._file.metadata
        return [preprocess([frame], facts.width, facts.height, facts.normalisation) for frame in frames]

    def _count(self, what: str) -> Callable[[int, int], None]:
        return lambda done, total: self._say(f"{done} of {total} {what}")


def fit_model(path: Path) -> ModelFile:
    """The facts of an ONNX file that can be calibrated.

    Raises:
        ModelError: if it is no model of this package.
        InputError: if it is not float32, or its batch or size is fixed to another than one image of the default size.
    """
    file = read_model_file(path)
    facts = file.metadata
    if facts.precision != "fp32":
        raise InputError(f"{path} is {facts.precision} already; start from the fp32 file.")
    if file.batch not in (None, 1):
        raise InputError(f"{path} takes {file.batch} images at once; calibrate a file of --batch 1 or any.")
    return file


def manifest_path(output: Path) -> Path:
    """Where the manifest of an INT8 file's calibration set stands: `x-int8.calibration.json` beside `x-int8.onnx`."""
    return output.with_suffix(".calibration.json")


def _with_figures(metadata: ModelMetadata, gate: GateResult) -> ModelMetadata:
    figures = {"int8_map_difference": gate.difference, "int8_worst_difference": gate.worst_difference}
    if gate.mae_change is not None and gate.f_change is not None:
        figures |= {"int8_mae_change": gate.mae_change, "int8_f_change": gate.f_change}
    return replace(metadata, figures=metadata.figures | {name: round(value, 6) for name, value in figures.items()})
