"""What a user asks of a bulk run."""

from dataclasses import dataclass

from br2net.errors import InputError

DEFAULT_GRID = 8
LARGEST_GRID = 64


@dataclass(frozen=True)
class ModelChoice:
    """The model and how it is loaded, as `Detector.load` takes them."""

    model: str = "mobile"
    backend: str = "auto"
    device: str = "auto"
    precision: str = "auto"
    size: tuple[int, int] | None = None
    threads: int = 0


@dataclass(frozen=True)
class BulkOptions:
    """What is written about each image, and which of them.

    Attributes:
        grid: cells per side of the grid of sharpness.
        maps: write the blur map of each image as well, as an 8-bit PNG.
        every_seconds: of a video, one frame in so many seconds; 0 for every frame.
        column: of a Parquet input, the column that holds the images; None for the first known name.
        retry_errors: do images again whose row holds an error.

    Raises:
        InputError: if a figure is not possible.
    """

    grid: int = DEFAULT_GRID
    maps: bool = False
    every_seconds: float = 1.0
    column: str | None = None
    retry_errors: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.grid <= LARGEST_GRID:
            raise InputError(f"A grid of {self.grid} cells a side is not possible; 1 to {LARGEST_GRID} are.")
        if not self.every_seconds >= 0.0:
            raise InputError(f"One frame in {self.every_seconds} seconds is not possible; 0 means every frame.")


@dataclass(frozen=True)
class ClusterOptions:
    """Where Ray is, and what each worker takes.

    Attributes:
        address: of a running cluster (`auto`, `host:6379`, `ray://host:10001`), or `local` to start one here.
        workers: at most so many; 0 for as many as fit.
        gpus: share of a GPU for each worker.
    """

    address: str = "local"
    workers: int = 0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 0 or not 0.0 <= self.gpus <= 64.0:
            raise InputError(f"{self.workers} workers with {self.gpus} GPUs each are not possible.")
