"""Inference on a Triton server."""

from typing import Any

import numpy as np

from br2net.errors import BackendError, InputError, ModelError
from br2net.runtime.backend import Backend, HostRequest, InferenceOptions
from br2net.runtime.metadata import METADATA_KEY, ModelMetadata
from br2net.runtime.preprocessing import check_size
from br2net.runtime.triton.address import parse_address
from br2net.runtime.triton.protocol import Client
from br2net.types import Batch


class TritonBackend(Backend):
    """A model on a server, which `br2net deploy triton` prepared. The map is computed there, all else here.

    A server that is gone, or starts again, is waited for; batches are split to what the server takes at a time.
    """

    name = "triton"

    def __init__(self, url: str, options: InferenceOptions) -> None:
        """Ask the server for the model's configuration.

        Raises:
            InputError: if the address, or something asked for, is not possible.
            BackendError: if the server does not answer.
            ModelError: if it has no such model, or one that is not of this package.
        """
        super().__init__()
        self.threads = options.threads
        self._address = parse_address(url)
        if options.device != "auto":
            raise InputError(f"The device is the Triton server's matter; leave out {options.device}.")
        self._client = Client(self._address)
        config = self._client.config()
        self.metadata = _metadata(config, url)
        self.precision = self.metadata.precision
        if options.precision not in ("auto", self.precision):
            raise InputError(f"{url} computes in {self.precision}, not in {options.precision}.")
        self.device = self._address.server
        self.concurrency = options.streams
        dims = [int(side) for side in config["input"][0]["dims"]]
        self._most = int(config.get("max_batch_size", 0))
        if not self._most:
            self.fixed_batch = dims[0] if dims[0] > 0 else None
        self.width, self.height = self._choose_size(options.size, dims[-1], dims[-2], url)

    def _new_request(self, batch: int) -> HostRequest:
        return HostRequest(self, batch, self._infer)

    def _infer(self, batch: Batch) -> Batch:
        most = self._most or len(batch)
        parts = [
            self._client.infer(batch[start : start + most], "image", "blur") for start in range(0, len(batch), most)
        ]
        blur = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if blur.shape != (len(batch), 1, self.height, self.width):
            raise BackendError(f"The Triton server {self.device} answered with maps of shape {blur.shape}.")
        return blur

    def _free(self) -> None:
        """Close the connections; the server keeps its model."""
        self._client.close()

    def _choose_size(self, wanted: tuple[int, int] | None, width: int, height: int, url: str) -> tuple[int, int]:
        own = (width if width > 0 else self.metadata.width, height if height > 0 else self.metadata.height)
        if wanted is None or wanted == own:
            return own
        check_size(*wanted)
        if width > 0 or height > 0:
            raise InputError(f"{url} takes {own[0]}x{own[1]} alone, not {wanted[0]}x{wanted[1]}.")
        return wanted


def _metadata(config: dict[str, Any], url: str) -> ModelMetadata:
    text = config.get("parameters", {}).get(METADATA_KEY, {}).get("string_value")
    names = [item["name"] for item in config.get("input", [])]
    if names == ["frames"]:
        raise ModelError(f"{url} was exported --with-preprocessing, for other clients; deploy the model without.")
    if not text or names != ["image"]:
        raise ModelError(f"{url} is no br2net model; `br2net deploy triton` prepares one.")
    return ModelMetadata.from_json(text, url)
