"""Checkpoints, the authors' release, and ImageNet weights."""

import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch

from br2net.errors import ModelError, WeightsError
from br2net.network import BR2Net, BR2NetConfig, Checkpoint, initialise_backbone, load_checkpoint, save_checkpoint
from br2net.network.backbones import build_backbone
from br2net.network.checkpoint import ModelFacts
from br2net.network.release import translate_release
from tests.network import public_layouts

SMALL = BR2NetConfig(backbone="mobilenet_v2", backbone_norm="folded", width=4)


def test_a_checkpoint_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    saved = Checkpoint(BR2Net(SMALL).eval(), ModelFacts("small", 64, 96, training_data="nothing"), {"mae": 0.5})
    save_checkpoint(tmp_path / "x.pth", saved)
    loaded = load_checkpoint(tmp_path / "x.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded.model(image), saved.model(image))
    assert (loaded.facts, loaded.figures) == (saved.facts, saved.figures)
    assert loaded.weights_sha256() == saved.weights_sha256()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut short"])
def test_a_damaged_checkpoint_is_named_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pth"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"x\.pth"):
        load_checkpoint(path)


def test_another_programs_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match="neither"):
        load_checkpoint(tmp_path / "x.pth")


def test_the_authors_release_fills_the_papers_network(tmp_path: Path) -> None:
    state = public_layouts.release()
    torch.save(state, tmp_path / "CA_20000.pth")
    own = load_checkpoint(tmp_path / "CA_20000.pth").model.state_dict()
    assert set(translate_release(state)) == set(own)
    pairs = {
        "layer0.0.weight": "backbone.conv1.weight",
        "layer3.22.0.0.0.3.weight": "backbone.layer3.22.conv2.weight",
        "layer4.0.0.1.1.running_var": "backbone.layer4.0.downsample.1.running_var",
        "layer2.1.0.0.2.bias": "backbone.layer2.1.bn3.bias",
        "CAlayer4.0.conv_du.2.bias": "attention.4.expand.bias",
        "predictL2H0.weight": "l2h.start.weight",
        "predictL2H4.0.weight": "l2h.steps.3.conv1.weight",
        "predictH2L2.5.weight": "h2l.steps.1.act2.weight",
        "predictH2L1.6.bias": "h2l.steps.0.conv3.bias",
    }
    assert all(torch.equal(state[theirs], own[ours]) for theirs, ours in pairs.items())


def test_a_release_with_a_missing_weight_is_refused(tmp_path: Path) -> None:
    state = public_layouts.release()
    del state["layer2.0.0.0.1.weight"]
    torch.save(state, tmp_path / "CA_20000.pth")
    with pytest.raises(ModelError, match="do not fit"):
        load_checkpoint(tmp_path / "CA_20000.pth")


def test_folded_arrays_give_the_same_features_with_and_without_batch_norm(shared: Path) -> None:
    source = shared / "weights" / "mobilenet_v2_1.0_224_imagenet.npz"
    plain, folded = build_backbone("mobilenet_v2"), build_backbone("mobilenet_v2", "folded")
    digests = {initialise_backbone(backbone, "mobilenet_v2", source) for backbone in (plain, folded)}
    assert len(digests) == 1
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        for one, other in zip(plain.eval()(image), folded.eval()(image), strict=True):
            assert torch.allclose(one, other, atol=1e-3)
    first = np.load(source)["w00"]
    assert np.array_equal(folded.state_dict()["features.0.0.weight"].numpy(), first)


def test_a_public_checkpoint_is_folded_into_a_backbone_without_batch_norm(tmp_path: Path) -> None:
    torch.save(public_layouts.mobilenet_v2(), tmp_path / "m.pth")
    plain, folded = build_backbone("mobilenet_v2"), build_backbone("mobilenet_v2", "folded")
    for backbone in (plain, folded):
        initialise_backbone(backbone, "mobilenet_v2", tmp_path / "m.pth")
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(plain.eval()(image)[-1], folded.eval()(image)[-1], atol=1e-4)


def test_weights_of_another_hash_are_refused(tmp_path: Path) -> None:
    torch.save(public_layouts.mobilenet_v2(), tmp_path / "m.pth")
    with pytest.raises(WeightsError, match="SHA-256"):
        initialise_backbone(build_backbone("mobilenet_v2"), "mobilenet_v2", tmp_path / "m.pth", sha256="00000000")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save(public_layouts.vgg16(), tmp_path / "v.pth")
    with pytest.raises(WeightsError, match="do not fit"):
        initialise_backbone(build_backbone("mobilenet_v2"), "mobilenet_v2", tmp_path / "v.pth")


def test_offline_the_address_of_the_weights_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(WeightsError, match=r"fetch https://.*mobilenet_v2"):
        initialise_backbone(build_backbone("mobilenet_v2"), "mobilenet_v2")
