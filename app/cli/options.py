"""Options that several verbs share, and the readers of their texts."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from br2net.errors import InputError

if TYPE_CHECKING:
    from br2net.types import Frame

ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A shipped model, an ONNX file, an engine, a checkpoint, triton://…")
]
BackendOption = Annotated[str, typer.Option(help="auto, tensorrt, openvino, onnxruntime or torch.")]
DeviceOption = Annotated[str, typer.Option(help="auto, or a device by the backend's name for it, as cpu or gpu.")]
PrecisionOption = Annotated[str, typer.Option(help="auto (what the device does best), fp32, bf16 or fp16.")]
SizeOption = Annotated[str | None, typer.Option(metavar="WxH", help="Input size, multiples of 32.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Read `640x384` as (640, 384), width first; None stays None.

    Raises:
        InputError: if the text is of another form.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,6})[xX×](\d{1,6})", text.strip())
    if match is None:
        raise InputError(f"A size must be like 640x384 (width x height), got {text[:30]!r}.")
    return int(match[1]), int(match[2])


def read_frames(images: "list[str] | None") -> "list[Frame]":
    """Read the photographs of `--images`: files, folders or patterns; none where the option is not given.

    Raises:
        InputError: if nothing is found, or an image cannot be read.
    """
    from br2net.runtime.images import list_images, read_image

    return [read_image(path) for path in list_images(images)] if images else []


def check_report(folder: Path | None) -> None:
    """Refuse a file as the folder of `--report`, before anything is measured.

    Raises:
        InputError: if it is one.
    """
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"--report must be a folder, got the file {folder}.")
