"""A training checkpoint run by PyTorch, in the plain form."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from br2net.errors import BackendError, InputError, MissingDependencyError
from br2net.runtime.backend import Backend, HostRequest, InferenceOptions
from br2net.runtime.metadata import ModelMetadata, Normalisation
from br2net.runtime.preprocessing import check_size
from br2net.types import Batch

if TYPE_CHECKING:
    from br2net.network import BR2Net


class TorchBackend(Backend):
    """PyTorch eager, float32: the paper's configuration, and what every other backend is compared with.

    PyTorch has one number of threads for the whole process: asking for one here sets it for all.
    """

    name = "torch"
    precision = "fp32"

    def __init__(self, path: Path, options: InferenceOptions) -> None:
        super().__init__()
        self.threads = options.threads
        try:
            import torch
        except ImportError as error:
            raise MissingDependencyError(
                "PyTorch is not installed; `pip install 'br2net[build]'` brings it."
            ) from error
        from br2net.network import load_checkpoint

        if options.precision not in ("auto", "fp32"):
            raise InputError(f"The torch backend computes in fp32, not {options.precision}.")
        checkpoint = load_checkpoint(path)
        facts = checkpoint.facts
        self.metadata = ModelMetadata(
            name=facts.name,
            architecture=checkpoint.model.config.to_json(),
            backbone=checkpoint.model.config.backbone,
            width=facts.width,
            height=facts.height,
            normalisation=Normalisation(facts.mean, facts.std),
            form="plain",
            training_data=facts.training_data,
            licence=facts.licence,
            weights_sha256=checkpoint.weights_sha256(),
            figures=checkpoint.figures,
        )
        self.width, self.height = options.size or (facts.width, facts.height)
        check_size(self.width, self.height)
        name = options.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._device = torch.device(name)
            self._model: BR2Net = checkpoint.model.to(self._device).eval()
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"PyTorch has no device {name} here.") from error
        self.device = name.upper()
        if options.threads:
            torch.set_num_threads(options.threads)

    def _new_request(self, batch: int) -> HostRequest:
        return HostRequest(self, batch, self._infer)

    def _infer(self, batch: Batch) -> Batch:
        import torch

        try:
            with torch.inference_mode():
                result = self._model(torch.from_numpy(batch).to(self._device))
            return np.asarray(result.cpu().numpy(), dtype=np.float32)
        except RuntimeError as error:  # out of memory, most of all
            raise BackendError(f"PyTorch failed: {error}") from error

    def _free(self) -> None:
        del self._model
