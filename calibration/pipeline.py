"""`calibrate`: from a float32 ONNX file and a calibration set to an INT8 file that passed the gate."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import onnx

from br2net.calibration.activations import measure
from br2net.calibration.cache import CalibrationKey, cached_calibration, tool_versions
from br2net.calibration.gate import GateImage, GateLimits, GateResult, compare, maps_of, maps_of_file
from br2net.calibration.layers import FloatModel, Layer, matching, read_float_model
from br2net.calibration.manifest import Manifest
from br2net.calibration.quantiser import Quantiser
from br2net.calibration.sensitivity import By, Sensitivity, keep_least, measure_sensitivity, worst
from br2net.errors import GateError, InputError
from br2net.files import written_whole
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.types import Frame, Map

METHOD = "mse"  # the threshold of least squared error; no other of NVIDIA's calibrators did better
DEFAULT_KEEP = ("gate", "map")
FEW = 16  # images that sensitivity is measured on
SHOWN = 4  # images whose maps the report shows
CALIBRATION_KEY = "br2net_calibration"  # beside the metadata: method, hash of the calibration set, tool versions

Remainder = Literal["fp32", "fp16"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class CalibrationOptions:
    """How to calibrate.

    Attributes:
        keep: kinds, blocks and labels of layers that stay float32.
        correct_bias: True if biases compensate the mean shift of rounding.
        remainder: precision of everything except the INT8 layers.
        limits: limits of the gate.
        accept_drift: write the file although the gate does not hold.
        auto: keep further layers in float32, as few as needed, where the gate does not hold.
        sensitivity: measure it, by layer or block, whatever the gate finds; None where it is not needed.

    Raises:
        InputError: if the remainder is not possible.
    """

    keep: tuple[str, ...] = DEFAULT_KEEP
    correct_bias: bool = True
    remainder: Remainder = "fp32"
    limits: GateLimits = field(default_factory=GateLimits)
    accept_drift: bool = False
    auto: bool = False
    sensitivity: By | None = None

    def __post_init__(self) -> None:
        if self.remainder not in get_args(Remainder):
            raise InputError(f"remainder must be one of {', '.join(get_args(Remainder))}, got {self.remainder!r}.")


@dataclass(frozen=True, eq=False)
class GateSample:
    """One image of the gate: frame uint8 `(h, w, 3)` BGR, float32 maps `(h, w)` of both files, their mean difference."""

    name: str
    frame: Frame
    float32: Map
    int8: Map
    difference: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """A calibration that ended.

    Attributes:
        metadata: metadata of the INT8 file.
        gate: result of the gate for the file, by ONNX Runtime.
        all_int8: the same with every layer INT8 that `keep` did not name, before `auto` and before the remainder's cast.
        openvino: the same by OpenVINO, as it runs the file here; None where it did not come to that.
        layers: all layers that could be INT8.
        kept: labels of those that stayed float32.
        samples: the images of the gate whose maps differ most, the worst first.
        int8_macs: share of the multiply-accumulates in INT8 layers, 0..1.
        float32_bytes, int8_bytes: sizes of the files; 0 where none was written.
        sensitivity: sensitivity of each layer or block, where it was measured.
        reused: True if the calibration was kept from an earlier run.
        limits: limits of the gate; the file was written in spite of them if drift was accepted.
    """

    metadata: ModelMetadata
    gate: GateResult
    all_int8: GateResult
    openvino: GateResult | None
    layers: tuple[Layer, ...]
    kept: tuple[str, ...]
    samples: tuple[GateSample, ...]
    int8_macs: float
    float32_bytes: int
    int8_bytes: int
    sensitivity: tuple[Sensitivity, ...]
    reused: bool
    limits: GateLimits

    @property
    def broken(self) -> tuple[str, ...]:
        """Limits that do not hold for the file, by ONNX Runtime or by OpenVINO, one clause each."""
        broken = tuple(self.limits.broken_by(self.gate))
        if broken or self.openvino is None:
            return broken
        return tuple(f"by OpenVINO {clause}" for clause in self.limits.broken_by(self.openvino))


def calibrate(
    path: Path,
    output: Path,
    frames: Sequence[Frame],
    manifest: Manifest,
    gate_images: Sequence[GateImage],
    options: CalibrationOptions | None = None,
    say: Say = lambda _: None,
) -> Outcome:
    """Write the INT8 form of a float32 ONNX file, if the gate holds.

    Args:
        path: ONNX file exported by br2net, float32, batch 1 or any.
        output: ONNX file to write.
        frames: calibration set, uint8 `(h, w, 3)` BGR each.
        manifest: manifest of this set.
        gate_images: images of the gate, none of them in the set.
        options: calibration options.
        say: called with what is being done, for a progress line.

    Raises:
        InputError, ModelError: if the file or an option cannot be used.
        GateError: if the gate does not hold and drift is not accepted; its text names the layers that cause most of it,
            its `result` is the `Outcome`. Nothing is written then.
    """
    options = options or CalibrationOptions()
    model = read_float_model(path)
    keep = kept_nodes(model, options.keep)
    key = CalibrationKey(model.sha256, manifest.digest(), options.correct_bias, tool_versions())
    say("measuring what flows through the layers")
    calibration, reused = cached_calibration(key, lambda: measure(model, frames, options.correct_bias))
    quantiser = Quantiser(model, calibration)
    few = frames[:: max(len(frames) // FEW, 1)][:FEW]
    gate_frames = [image.frame for image in gate_images]

    say("the gate")
    references = maps_of(model.proto, gate_frames)

    def gate_of(nodes: Collection[str]) -> GateResult:
        return compare(gate_images, maps_of(quantiser.int8(nodes), gate_frames), references)

    def holds(nodes: Collection[str]) -> bool:
        say(f"trying {len(nodes)} layers in float32")
        return not options.limits.broken_by(gate_of(nodes))

    def sensitivity_of() -> tuple[Sensitivity, ...]:
        by = options.sensitivity or "layer"
        return measure_sensitivity(
            quantiser, keep, by, few, lambda done, total: say(f"{done} of {total} {by}s measured")
        )

    all_int8 = gate_of(keep)
    broken = options.limits.broken_by(all_int8)
    sensitivity = sensitivity_of() if broken or options.sensitivity is not None else ()
    kept: Collection[str] = keep
    if broken and options.auto:
        kept = keep_least(sensitivity, keep, holds) or keep
        sensitivity = tuple(replace(item, stays=set(item.group.nodes) <= set(kept)) for item in sensitivity)
    int8 = _int8(quantiser, kept, options.remainder, few, say)
    maps = maps_of(int8, gate_frames)
    gate = compare(gate_images, maps, references)
    if options.limits.broken_by(gate) and not options.accept_drift and not sensitivity:
        sensitivity = sensitivity_of()

    def ended(openvino: GateResult | None = None, int8_bytes: int = 0) -> Outcome:
        return Outcome(
            metadata=_metadata(model.metadata, gate),
            gate=gate,
            all_int8=all_int8,
            openvino=openvino,
            layers=model.layers,
            kept=tuple(layer.label for layer in model.layers if layer.node in kept),
            samples=_samples(gate_images, maps, references),
            int8_macs=sum(layer.macs for layer in model.layers if layer.node not in kept) / max(model.macs, 1),
            float32_bytes=path.stat().st_size,
            int8_bytes=int8_bytes,
            sensitivity=sensitivity,
            reused=reused,
            limits=options.limits,
        )

    _refuse_if_broken(ended(), output, options)
    say("writing")
    facts = {"method": METHOD, "remainder": options.remainder, "set": manifest.digest(), "tools": tool_versions()}
    with written_whole(output) as temporary, written_whole(manifest_path(output)) as temporary_manifest:
        _save(int8, temporary, _metadata(model.metadata, gate), facts)
        temporary_manifest.write_text(manifest.to_json(), encoding="utf-8")
        say("the gate, by OpenVINO")
        openvino = compare(gate_images, maps_of_file(temporary, gate_frames, "openvino"), references)
        outcome = ended(openvino, temporary.stat().st_size)
        _refuse_if_broken(outcome, output, options)
    return outcome


def kept_nodes(model: FloatModel, keep: Collection[str]) -> frozenset[str]:
    """Return the nodes of the layers that stay float32.

    Raises:
        InputError: if a name means no layer, or no layer is left to be INT8.
    """
    nodes = matching(model.layers, keep)
    if len(nodes) == len(model.layers):
        raise InputError(f"With {', '.join(keep)} kept, no layer of {model.path} is left to be INT8.")
    return nodes


def manifest_path(output: Path) -> Path:
    """Return the path of the manifest of an INT8 file: `x-int8.calibration.json` beside `x-int8.onnx`."""
    return output.with_suffix(".calibration.json")


def _int8(
    quantiser: Quantiser, kept: Collection[str], remainder: Remainder, few: Sequence[Frame], say: Say
) -> onnx.ModelProto:
    if remainder == "fp32":
        return quantiser.int8(kept)
    say("casting the remainder to float16")
    return quantiser.int8_in_fp16(kept, few)


def _samples(images: Sequence[GateImage], maps: Sequence[Map], references: Sequence[Map]) -> tuple[GateSample, ...]:
    samples = [
        GateSample(image.name, image.frame, reference, found, float(abs(found - reference).mean()))
        for image, found, reference in zip(images, maps, references, strict=True)
    ]
    return tuple(sorted(samples, key=lambda item: item.difference, reverse=True)[:SHOWN])


def _refuse_if_broken(outcome: Outcome, output: Path, options: CalibrationOptions) -> None:
    """Raise the refusal of an outcome whose gate does not hold, unless drift is accepted."""
    if not outcome.broken or options.accept_drift:
        return
    refusal = f"{output} was not written: {' and '.join(outcome.broken)}."
    if outcome.openvino is not None:
        raise GateError(
            f"{refusal} By ONNX Runtime the limits hold, so the rest comes from how OpenVINO computes on this processor "
            "(what is not INT8 in bfloat16, where it has it); --accept-drift writes the file as it is.",
            outcome,
        )
    names = ", ".join(item.group.name for item in worst(outcome.sensitivity, 3))
    advice = "no choice of layers made it hold" if options.auto else "--auto keeps the worst in float32"
    raise GateError(
        f"{refusal} Most of it comes from {names}; {advice}, and --accept-drift writes the file as it is.", outcome
    )


def _save(model: onnx.ModelProto, path: Path, metadata: ModelMetadata, calibration: Mapping[str, str]) -> None:
    texts = {METADATA_KEY: metadata.to_json(), CALIBRATION_KEY: json.dumps(dict(calibration), sort_keys=True)}
    onnx.helper.set_model_props(model, texts)
    onnx.save(model, path)


def _metadata(metadata: ModelMetadata, gate: GateResult) -> ModelMetadata:
    """Return the metadata of the INT8 file, with the figures of the gate."""
    figures = {"int8_map_difference": gate.difference, "int8_worst_difference": gate.worst_difference}
    if gate.mae_change is not None and gate.f_change is not None:
        figures |= {"int8_mae_change": gate.mae_change, "int8_f_change": gate.f_change}
    rounded = {name: round(value, 6) for name, value in figures.items()}
    return replace(metadata, name=f"{metadata.name}-int8", precision="int8", figures={**metadata.figures, **rounded})
