"""From an ONNX file to TensorRT's network definition, strongly typed: precision is what the file says."""

from pathlib import Path

from br2net.errors import ModelError
from br2net.runtime.tensorrt.api import trt
from br2net.runtime.tensorrt.log import KeptLog


def parse_network(builder: trt.Builder, path: Path, log: KeptLog) -> tuple[trt.INetworkDefinition, trt.OnnxParser]:
    """Parse an ONNX file.

    Returns:
        The network, and the parser, which must live as long as the network: it owns weights of it.

    Raises:
        ModelError: if TensorRT's parser refuses it; the sentence names the node.
    """
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)) or network.num_outputs == 0:
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(_sentence(error) for error in errors) or "; ".join(log.errors()) or "no reason given"
        raise ModelError(f"TensorRT's parser refuses {path}: {said}.")
    return network, parser


def _sentence(error: trt.ParserError) -> str:
    """What one parser error says, with the node it is about."""
    reason = " ".join(error.desc().split()).rstrip(".")
    if not error.node_name() and not error.node_operator():
        return reason
    return f"node {error.node_name() or error.node()} ({error.node_operator()}): {reason}"
