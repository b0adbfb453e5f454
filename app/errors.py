"""Every error that a user can meet.

    Br2netError                   exit code 2
    ├── InputError                a file, folder, size or option that cannot be used as given
    │   ├── ImageError            an image that cannot be read or is not an image
    │   ├── ModelError            a model file that is missing, damaged or not a BR²Net
    │   ├── DatasetError          a data set whose images and masks do not fit together
    │   ├── WeightsError          pretrained weights that are missing, altered or of another layout
    │   └── CameraError           a source of frames that cannot be opened, or that ended for good
    ├── TrainingError             a training that failed, for example because the learning rate is too large
    ├── MissingDependencyError    a package that is needed and not installed; the text holds the pip command
    ├── BackendError              an inference backend that could not load or run a model
    │   ├── EngineError           TensorRT refused; carries the lines it logged
    │   └── CudaError             a CUDA call failed; `sticky` if the context is lost
    │       └── OutOfMemoryError  the GPU has too little free memory
    ├── SinkError                 a sink that cannot take results any more, for example on a full disk
    ├── DeliveryError             one attempt to deliver an alert failed; `retry` if another attempt makes sense
    └── GateError                 a result was computed and refused by an accuracy gate; exit code 3

The text of each error is one sentence for the user: what must hold, what was given, what to do.
"""

from collections.abc import Sequence


class Br2netError(Exception):
    """Base class of all errors of this package.

    Attributes:
        exit_code: exit code of the command line, 2 for wrong use or bad input, 3 for a refused result.
    """

    exit_code = 2


class InputError(Br2netError):
    """A file, folder, size or option that cannot be used as given."""


class ImageError(InputError):
    """An image that cannot be read or is not an image."""


class ModelError(InputError):
    """A model file that is missing, damaged or not a BR²Net."""


class DatasetError(InputError):
    """A data set whose images and masks do not fit together."""


class WeightsError(InputError):
    """Pretrained weights that are missing, altered or of another layout."""


class CameraError(InputError):
    """A source of frames that cannot be opened, or that ended for good."""


class TrainingError(Br2netError):
    """A training that failed, for example because the learning rate is too large."""


class MissingDependencyError(Br2netError):
    """A package that is needed and not installed; the text holds the pip command that installs it."""


class BackendError(Br2netError):
    """An inference backend that could not load or run a model."""


class EngineError(BackendError):
    """TensorRT refused to build, load or run an engine.

    Attributes:
        log: lines that TensorRT logged.
    """

    def __init__(self, text: str, log: Sequence[str] = ()) -> None:
        super().__init__(text)
        self.log = tuple(log)


class CudaError(BackendError):
    """A CUDA call that failed.

    Attributes:
        sticky: True if the CUDA context is lost, so that only a new process can use the GPU.
    """

    def __init__(self, text: str, *, sticky: bool = False) -> None:
        super().__init__(text)
        self.sticky = sticky


class OutOfMemoryError(CudaError):
    """The GPU has too little free memory."""


class SinkError(Br2netError):
    """A sink that cannot take results any more, for example on a full disk."""


class DeliveryError(Br2netError):
    """One attempt to deliver an alert failed.

    Attributes:
        retry: True if another attempt makes sense.
    """

    def __init__(self, text: str, retry: bool) -> None:
        super().__init__(text)
        self.retry = retry


class GateError(Br2netError):
    """A result that was computed and refused, because it differs from its reference by more than allowed.

    Attributes:
        result: measurements, where the caller may want to show it.
    """

    exit_code = 3

    def __init__(self, text: str, result: object = None) -> None:
        super().__init__(text)
        self.result = result
