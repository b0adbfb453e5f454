"""An ONNX file as the runtime sees it: its metadata and the input it takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from br2net.errors import InputError, ModelError
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.runtime.preprocessing import check_size

if TYPE_CHECKING:
    from onnx import ModelProto


@dataclass(frozen=True)
class ModelFile:
    """An ONNX file of this package.

    Attributes:
        path: path of the file.
        metadata: what it says of itself.
        batch, width, height: of the input; None where the file takes any.
    """

    path: Path
    metadata: ModelMetadata
    batch: int | None
    width: int | None
    height: int | None

    def choose_size(self, wanted: tuple[int, int] | None) -> tuple[int, int]:
        """Input size `(width, height)` in pixels: the wanted one if the file takes it, else the file's own default.

        Raises:
            InputError: if the file does not take the wanted size.
        """
        fixed = (self.width or self.metadata.width, self.height or self.metadata.height)
        if wanted is None:
            return fixed
        check_size(*wanted)
        if self.width not in (None, wanted[0]) or self.height not in (None, wanted[1]):
            raise InputError(
                f"{self.path} takes {fixed[0]}x{fixed[1]} alone, not {wanted[0]}x{wanted[1]}; "
                f"export it for that size with `br2net export … --size {wanted[0]}x{wanted[1]}`."
            )
        return wanted


def load_onnx(path: Path) -> "ModelProto":
    """Load an ONNX file of any origin.

    Raises:
        ModelError: if the file is missing or is no ONNX.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.") from None
    except OSError as error:
        raise ModelError(f"Cannot read {path}: {error.strerror or error}.") from error
    except (DecodeError, ValueError) as error:
        raise ModelError(f"{path} is not an ONNX file, or it is damaged.") from error
    if not model.graph.input or not model.graph.output:
        raise ModelError(f"{path} is not an ONNX file, or it is damaged.")
    return model


def metadata_of(model: "ModelProto", path: Path) -> ModelMetadata | None:
    """Read the metadata inside a loaded ONNX file; None where it has none.

    Raises:
        ModelError: if it is damaged.
    """
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    return ModelMetadata.from_json(texts[0], str(path)) if texts else None


def read_model_file(path: Path) -> ModelFile:
    """Read the metadata and the input shape of an ONNX file.

    Raises:
        ModelError: if the file is missing, is no ONNX, or was not made by this package.
    """
    model = load_onnx(path)
    metadata = metadata_of(model, path)
    if metadata is None:
        raise ModelError(f"{path} carries no br2net metadata; make it with `br2net export`.")
    image = model.graph.input[0]
    shape = [item.dim_value if item.HasField("dim_value") else None for item in image.type.tensor_type.shape.dim]
    outputs = [item.name for item in model.graph.output]
    if image.name == "frames":
        raise ModelError(
            f"{path} was exported --with-preprocessing, for other runtimes; export it without for this one."
        )
    if image.name != "image" or len(shape) != 4 or shape[1] != 3 or outputs != ["blur"]:
        raise ModelError(f"{path} is no br2net model: it must have an input image (N, 3, h, w) and an output blur.")
    batch, _, height, width = shape
    return ModelFile(path, metadata, batch, width, height)
