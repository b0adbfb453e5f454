"""Inside Triton's Python backend: runs the ONNX file beside this one by ONNX Runtime or else OpenVINO, in float32.

`br2net deploy triton --backend python` copies it into the repository. It needs nothing of br2net on the server.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the file of this version."""
        self._run: Callable[[Any], Any]
        path = str(Path(args["model_repository"]) / args["model_version"] / "model.onnx")
        try:
            import onnxruntime
        except ImportError:
            import openvino

            model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            self._entry = model.inputs[0].any_name
            self._exit = model.outputs[0].any_name
            self._run = lambda batch: np.array(model([batch])[0])
        else:
            session = onnxruntime.InferenceSession(path)
            self._entry = session.get_inputs()[0].name
            self._exit = session.get_outputs()[0].name
            self._run = lambda batch: session.run([self._exit], {self._entry: batch})[0]

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer what Triton hands over at a time, requests of one shape as one batch."""
        import triton_python_backend_utils as triton

        batches = [triton.get_input_tensor_by_name(request, self._entry).as_numpy() for request in requests]
        if len({batch.shape[1:] for batch in batches}) == 1:
            answers = self._run(np.concatenate(batches))
            parts = np.split(answers, np.cumsum([len(batch) for batch in batches])[:-1])
        else:
            parts = [self._run(batch) for batch in batches]
        return [triton.InferenceResponse([triton.Tensor(self._exit, np.ascontiguousarray(part))]) for part in parts]
