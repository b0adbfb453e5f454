"""What a model says of itself."""

import json

import pytest

from br2net.errors import ModelError
from br2net.runtime.metadata import IMAGENET, ModelMetadata

METADATA = ModelMetadata("tiny", "{}", "none", 64, 32, IMAGENET, figures={"mae": 0.05})


def test_metadata_survives_json() -> None:
    assert ModelMetadata.from_json(METADATA.to_json()) == METADATA


def test_fields_of_a_newer_version_are_ignored() -> None:
    text = json.dumps({**json.loads(METADATA.to_json()), "colour": "red"})
    assert ModelMetadata.from_json(text) == METADATA


@pytest.mark.parametrize(
    "change",
    [
        {"width": "64"},
        {"height": 0},
        {"height": None},
        {"normalisation": {"mean": [0.5, 0.5], "std": [1.0, 1.0, 1.0]}},
        {"normalisation": {"mean": [0.5, 0.5, "x"], "std": [1.0, 1.0, 1.0]}},
        {"normalisation": {"mean": [0.5, 0.5, 0.5], "std": [1.0, 0.0, 1.0]}},
        {"normalisation": None},
    ],
)
def test_impossible_values_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError, match=r"metadata of x\.onnx is damaged"):
        ModelMetadata.from_json(json.dumps({**json.loads(METADATA.to_json()), **change}), "x.onnx")


@pytest.mark.parametrize("text", ["", "[]", "7", '{"name": "x"}', "{"])
def test_what_is_no_such_object_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="damaged"):
        ModelMetadata.from_json(text)
