"""The ONNX file that an engine is built from, checked before TensorRT sees it."""

from dataclasses import dataclass
from pathlib import Path

from br2net.errors import InputError, ModelError
from br2net.files import sha256_of
from br2net.runtime.engine_file import InputShape, Profile
from br2net.runtime.metadata import ModelMetadata
from br2net.runtime.model_file import read_model_file
from br2net.runtime.preprocessing import check_size

_FREE = -1


@dataclass(frozen=True)
class OnnxSource:
    """An ONNX file fit for a build.

    Attributes:
        path: of the file.
        sha256: its hash.
        metadata: what it says of itself.
        input_name, output_name: of its one input and one output.
        sides: batch, width and height of its input; -1 where free.
    """

    path: Path
    sha256: str
    metadata: ModelMetadata
    input_name: str
    output_name: str
    sides: tuple[int, int, int]

    def is_dynamic(self) -> bool:
        """Whether a profile must say what shapes are wanted."""
        return _FREE in self.sides


def read_source(path: Path) -> OnnxSource:
    """Look at an ONNX file.

    Raises:
        ModelError: if it is no ONNX, carries no br2net metadata, has an opset newer than the onnx package knows,
            or has not one input and one output.
    """
    import onnx
    from onnx.defs import onnx_opset_version

    file = read_model_file(path)
    model = onnx.load(path, load_external_data=False)
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > onnx_opset_version():
            raise ModelError(
                f"{path} has opset {opset.version}, and opsets up to {onnx_opset_version()} are supported."
            )
    constants = {item.name for item in model.graph.initializer}
    inputs = [item for item in model.graph.input if item.name not in constants]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs and {len(model.graph.output)} outputs; a BR²Net has one each."
        )
    dims = [side.dim_value if side.HasField("dim_value") else _FREE for side in inputs[0].type.tensor_type.shape.dim]
    if len(dims) != 4 or dims[1] != 3:
        raise ModelError(f"{path} has an input of shape {dims}; a BR²Net has (N, 3, height, width).")
    sides = (dims[0], dims[3], dims[2])
    return OnnxSource(path, sha256_of(path), file.metadata, inputs[0].name, model.graph.output[0].name, sides)


def resolve_profile(source: OnnxSource, wanted: Profile | None) -> Profile:
    """The profile to build for.

    Raises:
        InputError: if the file is dynamic and none is wanted, the file's fixed sides are not the wanted ones, or a size
            is not a multiple of 32.
    """
    if wanted is None:
        if source.is_dynamic():
            raise InputError(
                f"{source.path} accepts many shapes, so say which: for example --batch 1 --size "
                f"{source.metadata.width}x{source.metadata.height} (smallest:typical:largest also works)."
            )
        return Profile.fixed(InputShape(*source.sides))
    for shape in (wanted.smallest, wanted.typical, wanted.largest):
        check_size(shape.width, shape.height)
        for name, side, own in zip(("batch", "width", "height"), shape.sides(), source.sides, strict=True):
            if own not in (_FREE, side):
                raise InputError(
                    f"{source.path} has a fixed {name} of {own}, so an engine for {shape} cannot come of it."
                )
    return wanted
