"""PyTorch: the reference, for checkpoints. The only part of the runtime that knows torch and the network."""

from br2net.runtime.torch.session import TorchBackend

__all__ = ["TorchBackend"]
