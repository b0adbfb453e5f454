"""The ONNX file that an engine is built from, checked before TensorRT sees it."""

from dataclasses import asdict, dataclass
from pathlib import Path

from br2net.errors import InputError, ModelError
from br2net.files import sha256_of
from br2net.runtime.engine_file import InputShape, Profile
from br2net.runtime.model_file import ModelFile, read_model_file
from br2net.runtime.preprocessing import check_size


@dataclass(frozen=True)
class OnnxSource(ModelFile):
    """An ONNX file fit for a build.

    Attributes:
        sha256: hash of the file.
    """

    sha256: str

    def sides(self) -> tuple[int | None, int | None, int | None]:
        """Return batch, width and height of the input; None where the file takes any."""
        return self.batch, self.width, self.height

    def is_dynamic(self) -> bool:
        """Return whether a profile must say which shapes are wanted."""
        return None in self.sides()

    def shape(self, size: tuple[int, int] | None = None) -> InputShape:
        """Return one image (or the file's fixed batch) of `size`, or of the file's default size.

        Raises:
            InputError: if the file does not take that size.
        """
        return InputShape(self.batch or 1, *self.choose_size(size))


def read_source(path: Path) -> OnnxSource:
    """Look at an ONNX file.

    Raises:
        ModelError: if it is no ONNX file of this package, or has an opset newer than the onnx package knows.
    """
    import onnx
    from onnx.defs import onnx_opset_version

    file = read_model_file(path)
    for opset in onnx.load(path, load_external_data=False).opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > onnx_opset_version():
            raise ModelError(
                f"{path} has opset {opset.version}, and opsets up to {onnx_opset_version()} are supported."
            )
    return OnnxSource(file.path, file.metadata, *(file.batch, file.width, file.height), sha256_of(path))


def fp16_beside(source: OnnxSource) -> OnnxSource | None:
    """Return the file `x-fp16.onnx` beside an fp32 file `x.onnx`, where it is the same network at the same shapes."""
    path = source.path.with_name(f"{source.path.stem}-fp16.onnx")
    if source.metadata.precision != "fp32" or not path.is_file():
        return None
    found = read_source(path)
    own, its = source.metadata, found.metadata
    same = (own.weights_sha256, own.form, source.sides()) == (its.weights_sha256, its.form, found.sides())
    return found if same and its.precision == "fp16" else None


def resolve_profile(source: OnnxSource, wanted: Profile | None) -> Profile:
    """Return the profile to build for: the wanted one, or the default shape of the file, one image.

    Raises:
        InputError: if the file's fixed sides are not the wanted ones, or a size is not a multiple of 32.
    """
    if wanted is None:
        return Profile.fixed(source.shape())
    for shape in (wanted.smallest, wanted.typical, wanted.largest):
        check_size(shape.width, shape.height)
        for name, own in zip(("batch", "width", "height"), source.sides(), strict=True):
            if own not in (None, asdict(shape)[name]):
                raise InputError(
                    f"{source.path} has a fixed {name} of {own}, so it cannot become an engine for {shape}."
                )
    return wanted
