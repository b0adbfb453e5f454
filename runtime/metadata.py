"""What a model file says of itself: one JSON object under the ONNX metadata key `br2net`."""

import json
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from br2net.errors import ModelError

METADATA_KEY = "br2net"


@dataclass(frozen=True)
class Normalisation:
    """How a pixel of 0..255 becomes network input: `(pixel / 255 - mean) / std`, per RGB channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @property
    def scale(self) -> tuple[float, float, float]:
        """Factors of `pixel * scale + shift`, per RGB channel."""
        red, green, blue = self.std
        return 1.0 / (255.0 * red), 1.0 / (255.0 * green), 1.0 / (255.0 * blue)

    @property
    def shift(self) -> tuple[float, float, float]:
        """Summands of `pixel * scale + shift`, per RGB channel."""
        red, green, blue = (-mean / std for mean, std in zip(self.mean, self.std, strict=True))
        return red, green, blue


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
SYMMETRIC = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # pixel / 127.5 - 1


@dataclass(frozen=True)
class ModelMetadata:
    """Facts that travel inside a model file (and beside an engine), so that the file explains itself.

    Attributes:
        name: what users call the model, as `mobile`.
        architecture: the network's configuration, as one line of JSON.
        backbone: name of the backbone.
        width, height: default input size, pixels, multiples of 32.
        normalisation: of the RGB input.
        polarity: what a map value of 1 means; always `blurred` here.
        precision: `fp32`, `fp16` or `int8`.
        form: `restructured` or `plain`.
        training_data: what it was trained on; `none (random weights)` where it was not.
        licence: terms of the weights.
        weights_sha256: hash of the network's weights before export.
        figures: measured figures that travel along, as accuracy on a test set or the largest export difference.
    """

    name: str
    architecture: str
    backbone: str
    width: int
    height: int
    normalisation: Normalisation
    polarity: str = "blurred"
    precision: str = "fp32"
    form: str = "restructured"
    training_data: str = "unknown"
    licence: str = "unknown"
    weights_sha256: str = ""
    figures: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> str:
        """Serialise to one line of JSON, the inverse of `from_json`."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, source: str = "model") -> "ModelMetadata":
        """Read what `to_json` wrote; fields that a newer version added are ignored.

        Raises:
            ModelError: if the text is not such an object; `source` is named in the sentence.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            known = {item.name for item in fields(cls)}
            values = {key: value for key, value in raw.items() if key in known}
            normalisation = values["normalisation"]
            values["normalisation"] = Normalisation(_three(normalisation["mean"]), _three(normalisation["std"]))
            if not all(isinstance(values[side], int) and values[side] > 0 for side in ("width", "height")):
                raise ValueError("width and height must be positive whole numbers")
            if min(values["normalisation"].std) <= 0.0:
                raise ValueError("std must be positive")
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"The br2net metadata of {source} is damaged ({error}); export the model again."
            ) from error

    def with_precision(self, precision: str) -> "ModelMetadata":
        """Copy of these facts for the same network at another precision."""
        return replace(self, precision=precision)


def _three(values: Any) -> tuple[float, float, float]:
    """Three numbers, one for each of red, green and blue."""
    red, green, blue = (float(value) for value in values)
    return red, green, blue
