"""The models that come with the package."""

from pathlib import Path

import pytest

from br2net.errors import ModelError
from br2net.zoo import find_model, shipped_models


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder with two models, of which one has a checkpoint."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("small.onnx", "small.pth", "large.onnx", "CARD.md"):
        (models / name).touch()
    monkeypatch.setattr("br2net.zoo.resources.files", lambda _: tmp_path)
    return models


def test_shipped_models_are_listed_by_name(shelf: Path) -> None:
    assert shipped_models() == {"large": shelf / "large.onnx", "small": shelf / "small.onnx"}


def test_a_name_finds_the_shipped_file_of_the_wanted_kind(shelf: Path) -> None:
    assert find_model("small") == shelf / "small.onnx"
    assert find_model("small", ".pth") == shelf / "small.pth"


@pytest.mark.usefixtures("shelf")
def test_a_shipped_model_without_the_wanted_file_says_so() -> None:
    with pytest.raises(ModelError, match=r"The shipped model large comes without a \.pth file; with one: small\.$"):
        find_model("large", ".pth")


@pytest.mark.usefixtures("shelf")
def test_a_path_finds_any_file(tiny_onnx: Path) -> None:
    assert find_model(tiny_onnx) == find_model(str(tiny_onnx)) == tiny_onnx


@pytest.mark.usefixtures("shelf")
@pytest.mark.parametrize("name", ["telescope", "a" * 300, "nul\0"])
def test_anything_else_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ModelError, match=r"is neither a file nor a shipped model \(those are: large, small\)"):
        find_model(name)
