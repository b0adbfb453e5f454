"""Every error that a user can meet: what was wrong with which file, and what to do about it.

Each class carries the exit code of the command line: 2 for wrong use or bad input, 3 when a gate refuses.
"""


class Br2netError(Exception):
    """Base of all errors of this package. Its text is one sentence fit for a user."""

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


class TrainingError(Br2netError):
    """A training that went wrong, as by a learning rate that is too large."""


class MissingDependencyError(Br2netError):
    """A package that this verb needs and that is not installed; the text holds the pip line that brings it."""


class BackendError(Br2netError):
    """An inference backend that could not load or run a model."""


class CameraError(InputError):
    """A source of frames that cannot be opened, or that ended for good."""


class SinkError(Br2netError):
    """A place for results that cannot take them any more, as a full disk."""


class GateError(Br2netError):
    """A result was computed and refused, since it is farther from its reference than allowed."""

    exit_code = 3
