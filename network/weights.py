"""ImageNet initialisation of a backbone, from a local file or from its public address."""

import pickle
import urllib.error
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor, nn

from br2net.errors import WeightsError
from br2net.files import sha256_of
from br2net.network.backbones import FeatureExtractor, MobileNetV2, fold_batch_norms
from br2net.network.config import Backbone

PRETRAINED: dict[Backbone, str] = {
    "resnext101_32x4d": "https://github.com/rwightman/pytorch-pretrained-gluonresnet/releases/download/v0.1/"
    "gluon_resnext101_32x4d-b253c8c4.pth",
    "resnext50_32x4d": "https://download.pytorch.org/models/resnext50_32x4d-7cdf4587.pth",
    "vgg16": "https://download.pytorch.org/models/vgg16-397923af.pth",
    "mobilenet_v2": "https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
}
"""Addresses of public ImageNet checkpoints; each name ends with the first eight hex digits of the file's SHA-256."""


def initialise_backbone(
    backbone: FeatureExtractor, name: Backbone, source: Path | None = None, sha256: str | None = None
) -> str:
    """Load ImageNet weights into `backbone`, in place.

    Args:
        backbone: with BatchNorm or with it folded.
        name: which backbone it is.
        source: a local state dict (`.pth`, layout of torchvision or timm) or, for MobileNetV2, an `.npz` of folded
            convolutions in network order (`w00`, `b00`, ...). None downloads the public checkpoint.
        sha256: expected hash of the file, or a prefix of it; None takes any local file, and checks a download
            against the hash in its name.

    Returns:
        The SHA-256 of the file that was loaded.

    Raises:
        WeightsError: if the file is missing, has another hash or another layout, or cannot be downloaded.
    """
    if source is None:
        source, sha256 = _download(name), sha256 or _hash_of(PRETRAINED[name])
    if not source.is_file():
        raise WeightsError(f"There are no backbone weights at {source}.")
    digest = sha256_of(source)
    if sha256 is not None and not digest.startswith(sha256.lower()):
        raise WeightsError(f"{source} has SHA-256 {digest[:16]}…, not {sha256}: it is damaged or another file.")
    if source.suffix == ".npz":
        load_folded_arrays(backbone, _read_arrays(source), str(source))
    else:
        load_public_state(backbone, _read_state(source), str(source))
    return digest


def load_public_state(backbone: FeatureExtractor, state: Mapping[str, Tensor], source: str) -> None:
    """Load a classifier's state dict; its classifier is left out, and BatchNorm is folded where `backbone` has none.

    Raises:
        WeightsError: if weights are missing or have other shapes; `source` is named.
    """
    folded = not any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    has_norms = any(key.endswith("running_mean") for key in state)
    target: FeatureExtractor = backbone
    if folded and has_norms:
        target = type(backbone)(*_constructor_arguments(backbone))
    own = target.state_dict()
    unfit = [key for key in own if key not in state or state[key].shape != own[key].shape]
    unfit = [key for key in unfit if not key.endswith("num_batches_tracked")]
    if unfit:
        raise WeightsError(
            f"The weights in {source} do not fit the backbone: {unfit[0]} is missing or of another shape."
        )
    target.load_state_dict({key: state.get(key, value) for key, value in own.items()})
    if target is not backbone:
        fold_batch_norms(target)
        backbone.load_state_dict(target.state_dict())


def load_folded_arrays(backbone: FeatureExtractor, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Load `w00`, `b00`, `w01`, ... in network order into a MobileNetV2 (the classifier's arrays are left out).

    A backbone with BatchNorm gets the biases as BatchNorm shifts, with all else at identity.

    Raises:
        WeightsError: if the backbone is no MobileNetV2, or arrays are missing or have other shapes.
    """
    if not isinstance(backbone, MobileNetV2):
        raise WeightsError(f"{source} holds MobileNetV2 weights; this backbone is a {type(backbone).__name__}.")
    modules = [module for module in backbone.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    norms = [module for module in modules if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for index, conv in enumerate(convolutions):
            weight, bias = arrays.get(f"w{index:02d}"), arrays.get(f"b{index:02d}")
            if weight is None or bias is None or weight.shape != tuple(conv.weight.shape):
                raise WeightsError(
                    f"The weights in {source} do not fit MobileNetV2: array {index} is missing or unfit."
                )
            conv.weight.copy_(torch.from_numpy(weight))
            if conv.bias is not None:
                conv.bias.copy_(torch.from_numpy(bias))
                continue
            norm = norms[index]
            norm.reset_parameters()
            norm.weight.fill_((1.0 + norm.eps) ** 0.5)
            norm.bias.copy_(torch.from_numpy(bias))


def _constructor_arguments(backbone: FeatureExtractor) -> tuple[object, ...]:
    blocks = tuple(len(stage) for name, stage in backbone.named_children() if name.startswith("layer"))  # type: ignore[arg-type]
    return (blocks,) if blocks else ()


def _hash_of(url: str) -> str:
    return url.removesuffix(".pth")[-8:]


def _download(name: Backbone) -> Path:
    url = PRETRAINED[name]
    target = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        torch.hub.download_url_to_file(url, str(target), hash_prefix=_hash_of(url))
    except (urllib.error.URLError, OSError, RuntimeError) as error:
        raise WeightsError(
            f"The ImageNet weights of {name} could not be downloaded ({error}); "
            f"fetch {url} elsewhere and name the file, or start from random weights."
        ) from error
    return target


def _read_state(source: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise WeightsError(f"{source} is not a PyTorch state dict, or it is damaged.") from error
    if not isinstance(state, dict):
        raise WeightsError(f"{source} holds no state dict.")
    return {str(key): value for key, value in state.get("state_dict", state).items()}


def _read_arrays(source: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(source, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, BadZipFile) as error:
        raise WeightsError(f"{source} is not an .npz file, or it is damaged.") from error
