"""Model checkpoints: the weights of a BR²Net together with what is needed to build and feed it."""

import hashlib
import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from br2net.errors import ModelError
from br2net.files import written_whole
from br2net.network.config import NAMED_CONFIGS, BR2NetConfig
from br2net.network.model import BR2Net
from br2net.network.release import is_release_layout, translate_release

FORMAT = "br2net-checkpoint-1"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ModelFacts:
    """What a checkpoint says of itself beside its weights; the meaning of each is that of `ModelMetadata`."""

    name: str
    width: int = 320
    height: int = 320
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    training_data: str = "none (random weights)"
    licence: str = "Apache-2.0"


@dataclass(frozen=True)
class Checkpoint:
    """A network with the facts that describe it."""

    model: BR2Net
    facts: ModelFacts
    figures: dict[str, float] = field(default_factory=dict)

    def weights_sha256(self) -> str:
        """Hash over the names and bytes of all weights, independent of how the file was written."""
        digest = hashlib.sha256()
        for name, value in sorted(self.model.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write weights and facts to `path`, whole or not at all."""
    content = {
        "format": FORMAT,
        "config": checkpoint.model.config.to_json(),
        "facts": asdict(checkpoint.facts),
        "figures": checkpoint.figures,
        "state_dict": checkpoint.model.state_dict(),
    }
    with written_whole(path) as temporary:
        torch.save(content, temporary)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of this package, or the authors' `CA_20000.pth`.

    Raises:
        ModelError: if the file is missing, damaged, or of a layout that is neither of the two.
    """
    content = _read(path)
    if isinstance(content, dict) and is_release_layout(content):
        model = BR2Net(NAMED_CONFIGS["resnext101"])
        _load_into(model, translate_release(content), path)
        return Checkpoint(model.eval(), ModelFacts(path.stem, training_data="Shi's train set (authors' release)"))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelError(f"{path} is neither a br2net checkpoint nor the authors' release.")
    model = BR2Net(BR2NetConfig.from_json(content["config"]))
    _load_into(model, content["state_dict"], path)
    facts = content["facts"]
    facts["mean"], facts["std"] = tuple(facts["mean"]), tuple(facts["std"])
    return Checkpoint(model.eval(), ModelFacts(**facts), content.get("figures", {}))


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ModelError(f"There is no file {path}.") from None
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise ModelError(f"{path} is not a PyTorch checkpoint, or it is damaged.") from error


def _load_into(model: BR2Net, state: dict[str, Tensor], path: Path) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            f"The weights in {path} do not fit its network ({str(error).splitlines()[-1].strip()})"
        ) from error
