"""From a PyTorch network to a float32 ONNX file that explains itself and is checked before it appears."""

import logging
import tempfile
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from br2net.builder.comparison import compare
from br2net.errors import GateError, InputError
from br2net.files import check_suffix, written_whole
from br2net.network import BR2Net, Checkpoint, RestructuredBR2Net, restructure, save_checkpoint
from br2net.network.resampling import Method
from br2net.runtime.backend import InferenceOptions
from br2net.runtime.backends import open_backend
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata, Normalisation
from br2net.runtime.preprocessing import check_size

OPSET = 18  # TensorRT 10.3 parses up to 20; the exporter's own lowest is 18
STACK_TRACE = "pkg.torch.onnx.stack_trace"
LARGEST_DIFFERENCE = 1e-4  # of the blur map, 0..1: float32 rounding in another order, and no more


@dataclass(frozen=True)
class ExportOptions:
    """How to export.

    Attributes:
        size: input `(width, height)` in pixels, multiples of 32; None for the network's default.
        any_size: height and width stay symbolic; `size` is then the default that the metadata names.
        batch: batch size; None leaves it symbolic.
        plain: the unrestructured graph, as the paper has it.
        method: of the restructured form's commuted convolutions; None for `matrices` at a fixed size, `slices` at any.
    """

    size: tuple[int, int] | None = None
    any_size: bool = False
    batch: int | None = 1
    plain: bool = False
    method: Method | None = None

    def __post_init__(self) -> None:
        if self.batch is not None and self.batch < 1:
            raise InputError(f"batch must be at least 1, got {self.batch}.")
        if self.any_size and self.method == "matrices":
            raise InputError("The method matrices needs a fixed input size; choose grouped or slices.")


def export_onnx(checkpoint: Checkpoint, output: Path, options: ExportOptions | None = None) -> ModelMetadata:
    """Write the network as ONNX: input `image` `(N, 3, h, w)`, output `blur` `(N, 1, h, w)`, both float32.

    The file is run by ONNX Runtime on a real photograph and compared with PyTorch's plain form before it appears.

    Returns:
        The metadata inside the file; its figures hold the largest difference from PyTorch.

    Raises:
        InputError: if the size is not possible or `output` cannot be written.
        GateError: if the file's map differs from PyTorch's by more than 1e-4 anywhere.
        MissingDependencyError: if ONNX Runtime is not installed.
    """
    options = options or ExportOptions()
    check_suffix(output, ".onnx")
    metadata = _metadata(checkpoint, options)
    check_size(metadata.width, metadata.height)
    with written_whole(output) as temporary:
        _write_graph(checkpoint.model, temporary, metadata, options)
        _set_metadata(temporary, metadata)
        difference = _largest_difference(checkpoint, temporary, metadata)
        if not difference <= LARGEST_DIFFERENCE:
            raise GateError(
                f"The exported map differs from PyTorch's by up to {difference:.2e}; {output} is not written."
            )
        metadata = replace(metadata, figures={**metadata.figures, "export_difference": difference})
        _set_metadata(temporary, metadata)
    return metadata


def _metadata(checkpoint: Checkpoint, options: ExportOptions) -> ModelMetadata:
    facts = checkpoint.facts
    width, height = options.size or (facts.width, facts.height)
    return ModelMetadata(
        name=facts.name,
        architecture=checkpoint.model.config.to_json(),
        backbone=checkpoint.model.config.backbone,
        width=width,
        height=height,
        normalisation=Normalisation(facts.mean, facts.std),
        form="plain" if options.plain else "restructured",
        training_data=facts.training_data,
        licence=facts.licence,
        weights_sha256=checkpoint.weights_sha256(),
        figures=checkpoint.figures,
    )


def _write_graph(model: BR2Net, path: Path, metadata: ModelMetadata, options: ExportOptions) -> None:
    method: Method = options.method or ("slices" if options.any_size else "matrices")
    network: BR2Net | RestructuredBR2Net = model.eval() if options.plain else restructure(model, method)
    example = torch.zeros(options.batch or 2, 3, metadata.height, metadata.width)
    with torch.inference_mode():
        network(example)  # the constant matrices are made here, and not inside the traced graph
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        torch.onnx.export(
            network,
            (example.clone(),),
            path,
            dynamo=True,
            opset_version=OPSET,
            input_names=["image"],
            output_names=["blur"],
            dynamic_shapes=(_dynamic_axes(options),),
            external_data=False,
            verbose=False,
        )


def _dynamic_axes(options: ExportOptions) -> dict[int, Any]:
    axes: dict[int, Any] = {}
    if options.batch is None:
        axes[0] = torch.export.Dim("batch")
    if options.any_size:  # the network needs multiples of 32, and so says the exported graph
        axes[2] = 32 * torch.export.Dim("rows_of_32", min=1)
        axes[3] = 32 * torch.export.Dim("columns_of_32", min=1)
    return axes


def _largest_difference(checkpoint: Checkpoint, path: Path, metadata: ModelMetadata) -> float:
    options = InferenceOptions(device="cpu", size=(metadata.width, metadata.height))
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.pth"
        save_checkpoint(plain, checkpoint)
        with (
            open_backend(path, "onnxruntime", options) as candidate,
            open_backend(plain, "torch", options) as baseline,
        ):
            return compare(candidate, baseline).largest


def _set_metadata(path: Path, metadata: ModelMetadata) -> None:
    import onnx

    model = onnx.load(path)
    for (
        node
    ) in model.graph.node:  # the exporter notes the source lines of each, with the names of this machine's folders
        kept = [entry for entry in node.metadata_props if entry.key != STACK_TRACE]
        del node.metadata_props[:]
        node.metadata_props.extend(kept)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata.to_json()})
    onnx.save(model, path)
